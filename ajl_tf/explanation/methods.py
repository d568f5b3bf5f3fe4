"""Answers to where a network looks: Grad-CAM, SHAP, occlusion, and attention where it has one.

Each takes a network, photos and the class to be explained of each, and returns maps `(N, S, S)`:
positive where the photo speaks for the class, negative where it speaks against it.

- **grad_cam** (Selvaraju et al. 2017, arXiv:1610.02391): the feature map before pooling, its
  channels weighted by the mean gradient of the class's logit, what is positive of it. One way for
  all backbones: those of convolutions give a feature map, those of transformers a map of tokens.
  It is as coarse as that map, and sees only what the layers behind it do.
- **shap** (Lundberg and Lee 2017, arXiv:1705.07874): the photo is halved again and again, and each
  half gets its Owen value, a Shapley value for players in groups (Owen 1977), from photos in which
  the rest is blurred. Computed by the library shap, `PartitionExplainer`. A photo's values sum to
  the probability of the photo less that of the blurred photo.
- **occlusion** (Zeiler and Fergus 2014, arXiv:1311.2901): how far the probability falls where a
  window is blurred, averaged over the windows that cover a pixel.
- **attention** (Ilse et al. 2018, arXiv:1802.04712): what each place of the feature map counts in
  the pooling that learned where to look, whatever the class. It is never negative and sums to one
  over the places: a network that has learned nothing here counts all the same. It says which places
  reach the head, not what the head makes of them.

Why occlusion is our own: Xplique 2.0.2, the maintained library of such methods for TensorFlow,
cannot be installed beside TensorFlow 2.21 (it asks for at most 2.20); tf-explain has not been
released since 2022, lime since 2020; captum is for PyTorch. It is some twenty lines.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType

import numpy as np

from ajl_tf.errors import UserError
from ajl_tf.explanation.baselines import blurred
from ajl_tf.explanation.network import Images, Maps, Network, enlarged

Method = Callable[[Network, Images, np.ndarray], Maps]

_EVALUATIONS = 256  # of the network by shap, for each photo
_AT_ONCE = 32
_WINDOWS = 9  # a side; neighbours overlap by half
_COVERED = 2  # a window covers so many of the steps between windows


def grad_cam(network: Network, images: Images, labels: np.ndarray) -> Maps:
    """What is positive of each place's part of the logit, enlarged to the photo."""
    evidence = enlarged(network.evidence(images, labels), images.shape[1])
    return np.asarray(np.maximum(evidence, 0))


def attention(network: Network, images: Images, labels: np.ndarray) -> Maps:
    """What each place counts in the pooling, enlarged to the photo; `labels` change nothing."""
    return enlarged(network.attention(images), images.shape[1])


def occlusion(network: Network, images: Images, labels: np.ndarray) -> Maps:
    """How far the probability falls where a window is blurred."""
    windows = _windows(images.shape[1])  # (W, S, S)
    covers = windows.sum(axis=0)
    maps = []
    for image, label, hidden in zip(images, labels, blurred(images), strict=True):
        occluded = np.where(windows[..., None], hidden, image)
        whole = network.probability(image[None], label)[0]
        falls = whole - network.probability(occluded, label)
        maps.append(np.tensordot(falls, windows, axes=1) / covers)
    return np.stack(maps).astype(np.float32)


def shap(network: Network, images: Images, labels: np.ndarray) -> Maps:
    """Owen values of a photo's halves of halves.

    Raises:
        UserError: The library is not installed.
    """
    library = load_shap()
    maps = []
    for image, label, hidden in zip(images, labels, blurred(images), strict=True):

        def probability(masked: np.ndarray, label: int = label) -> np.ndarray:
            return network.probability(masked.astype(np.float32), label)

        masker = library.maskers.Image(hidden, image.shape)
        explainer = library.PartitionExplainer(probability, masker)
        found = explainer(image[None], max_evals=_EVALUATIONS, batch_size=_AT_ONCE, silent=True)
        maps.append(found.values[0].sum(axis=-1))  # over the channels
    return np.stack(maps).astype(np.float32)


def load_shap() -> ModuleType:
    """The library; it takes seconds to import.

    Raises:
        UserError: It is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it calls what Matplotlib will deprecate
            import shap as library
    except ImportError as error:
        raise UserError(
            'the method shap needs the package shap: pip install "ajl_tf[explain]", or leave it '
            f"out with --method grad_cam,occlusion. ({error})"
        ) from None
    module: ModuleType = library
    return module


METHODS: dict[str, Method] = {
    "grad_cam": grad_cam,
    "shap": shap,
    "occlusion": occlusion,
    "attention": attention,
}


def _windows(size: int) -> np.ndarray:
    """Squares that together cover everything, half over one another: bool `(W, size, size)`."""
    edges = np.linspace(0, size, _WINDOWS + _COVERED).round().astype(int)
    rows = np.zeros((_WINDOWS, size), np.bool_)
    for row, start, end in zip(rows, edges, edges[_COVERED:], strict=False):
        row[start:end] = True
    pairs: np.ndarray = rows[:, None, :, None] & rows[None, :, None, :]
    return pairs.reshape(-1, size, size)
