"""What the network is asked to say of a photo, and what is taken off its answer afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from ajl_tf.errors import UserError, listed


def soft_targets(
    class_names: Sequence[str], parents: Mapping[str, str] | None, share: float
) -> np.ndarray:
    """The label distribution of each condition: itself, and a little of what stands beside it.

    A mistake between two conditions of one partition of the label tree costs less than one across
    partitions: soft labels of a hierarchy (Bertinetto et al. 2020, arXiv:1912.09393), with one
    level and one number.

    Args:
        class_names: C conditions.
        parents: Condition -> its partition; None where there is no tree.
        share: In [0, 1), of the label that goes to the conditions of the same partition, in equal
            parts; a condition that is alone in its partition keeps all of its own.

    Returns:
        float32 `(C, C)`, a row a condition, each summing to one.

    Raises:
        UserError: A share without a tree, or conditions without a place in it.
    """
    own = np.eye(len(class_names), dtype=np.float32)
    if not share:
        return own
    missing = [name for name in class_names if name not in (parents or {})]
    if parents is None or missing:
        raise UserError(
            "loss.hierarchy needs the partition of every condition, in the manifest's column that "
            "loss.hierarchy_level names; it is missing for:\n"
            f"{listed(missing)}\nAdd the column, or set loss.hierarchy = 0."
        )
    partition = np.array([parents[name] for name in class_names])
    siblings = (partition[:, None] == partition[None, :]) - own
    count = siblings.sum(axis=1, keepdims=True)
    spread = np.divide(share * siblings, count, out=np.zeros_like(own), where=count > 0)
    targets: np.ndarray = own * (1.0 - spread.sum(axis=1, keepdims=True)) + spread
    return targets.astype(np.float32)


def logit_shift(labels: np.ndarray, classes: int, strength: float) -> np.ndarray:
    """What `adjust_logits` takes off the logits, `(classes,)`; it explains the arguments."""
    counts = np.bincount(labels, minlength=classes)
    shift: np.ndarray = strength * np.log(counts / counts.sum())
    return shift


def adjust_logits(head: keras.Model, labels: np.ndarray, strength: float) -> None:
    """Takes `strength` times the log of each class's share of the rows off its logit, for good.

    After-the-fact logit adjustment (Menon et al. 2021, arXiv:2007.07314): at 1 the answer is that
    of a model for which all classes are equally common, which is best for balanced accuracy. The
    head's bias takes it, so whatever is made of the model afterwards has it.

    Args:
        head: `Classifier.head`, whose last layer is dense.
        labels: int `(N,)`, class of each training row; every class has one.
        strength: 0 changes nothing.
    """
    if not strength:
        return
    dense = head.layers[-1]
    shift = logit_shift(labels, dense.units, strength)
    dense.bias.assign(dense.bias - shift.astype(np.float32))
