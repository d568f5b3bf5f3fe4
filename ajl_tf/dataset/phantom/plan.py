"""Which photos a drawn set holds: kinds, tones, splits and copies, decided before any is drawn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from ajl_tf.dataset.phantom.kinds import KINDS
from ajl_tf.errors import UserError

MIN_IMAGES = 100
CHANGES = ("exact", "re-encoded", "mirrored", "brightened")

_TRAIN = 0.7
_COPIED = 0.02
_FEWEST = {"train": 2, "test": 1}  # photos that even the rarest kind has
# By tone 1 to 6: light skin is commoner, as in most collections of skin photos.
_TONES = np.array([0.19, 0.35, 0.20, 0.14, 0.08, 0.04])
_UNKNOWN = 0.04  # photos whose tone is not given
# The second opinion: by how many tones it differs from the drawn one, or none (unknown).
_SECOND = {None: 0.05, -2: 0.04, -1: 0.27, 0: 0.47, 1: 0.14, 2: 0.03}
_QC = {"": 0.969, "1 Diagnostic": 0.025, "2 Characteristic": 0.003, "5 Potentially": 0.003}
_WRONG = "3 Wrongly labelled"


@dataclass(frozen=True)
class Photo:
    """One photo of the set.

    Attributes:
        image_id: 32 hexadecimal digits; the competition calls it md5hash.
        split: "train" or "test".
        scene: Which stream of random numbers draws it; a copy has its original's.
        kind: What is drawn.
        label: What the set says it is: the kind, or wrongly its look-alike.
        tone: The Fitzpatrick tone, 1 to 6, that is drawn.
        stated_tone: What the set says, -1 for unknown.
        second_tone: A second, noisy opinion, -1 for unknown.
        qc: A remark on the label, mostly empty.
        copy_of: image_id of the original, or empty.
        change: What was done to the copy, one of `CHANGES`, or empty.
    """

    image_id: str
    split: str
    scene: int
    kind: str
    label: str
    tone: int
    stated_tone: int
    second_tone: int
    qc: str
    copy_of: str = ""
    change: str = ""


def plan_photos(images: int, seed: int) -> list[Photo]:
    """Decides on every photo of a set, in the order of the set's CSVs.

    Args:
        images: How many in all, copies among them; 70% are for training.
        seed: The same seed gives the same photos.

    Raises:
        UserError: Too few images for every kind to occur, or a negative seed.
    """
    if images < MIN_IMAGES:
        raise UserError(
            f"A drawn set needs at least {MIN_IMAGES} images, so that each of its {len(KINDS)} "
            f"kinds occurs in training and test. Received: {images} images."
        )
    if seed < 0:
        raise UserError(f"The seed must be 0 or more. Received: {seed}.")
    rng = np.random.default_rng([seed, 0])
    copies = max(len(CHANGES), round(_COPIED * images))
    copy_splits = ["train" if turn % 3 else "test" for turn in range(copies)]
    train = round(_TRAIN * images)
    sizes = {"train": train, "test": images - train}
    wanted = [
        (kind, split)
        for split, size in sizes.items()
        for kind in _kinds(size - copy_splits.count(split), _FEWEST[split])
    ]
    originals = [
        _original(f"{seed} {images} {scene}", scene, kind, split, rng)
        for scene, (kind, split) in enumerate(wanted)
    ]
    chosen = rng.choice(len(originals), copies, replace=False)
    copied = [
        _copy(originals[index], split, turn)
        for turn, (index, split) in enumerate(zip(chosen, copy_splits, strict=True))
    ]
    photos = originals + copied
    return [photos[index] for index in rng.permutation(len(photos))]


def _kinds(count: int, fewest: int) -> list[str]:
    """`count` kinds by their weights (largest remainders), each at least `fewest` times."""
    weights = np.array([kind.weight for kind in KINDS.values()])
    quotas = count * weights / weights.sum()
    counts = np.floor(quotas).astype(int)
    counts[np.argsort(counts - quotas, kind="stable")[: count - counts.sum()]] += 1
    while counts.min() < fewest:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return [kind for kind, times in zip(KINDS, counts, strict=True) for _ in range(times)]


def _original(key: str, scene: int, kind: str, split: str, rng: np.random.Generator) -> Photo:
    tones = np.arange(1, 7)
    shares = _TONES * np.exp(KINDS[kind].tilt * tones)
    tone = int(rng.choice(tones, p=shares / shares.sum()))
    shift = list(_SECOND)[rng.choice(len(_SECOND), p=list(_SECOND.values()))]
    return Photo(
        image_id=_digest(f"drawn {key}"),
        split=split,
        scene=scene,
        kind=kind,
        label=kind,
        tone=tone,
        stated_tone=-1 if rng.random() < _UNKNOWN else tone,
        second_tone=-1 if shift is None else int(np.clip(tone + shift, 1, 6)),
        qc=str(rng.choice(list(_QC), p=list(_QC.values()))),
    )


def _copy(original: Photo, split: str, turn: int) -> Photo:
    """A copy in `split`; a few for training carry the look-alike's label."""
    wrong = split == "train" and turn % 5 == 4
    return replace(
        original,
        image_id=_digest(f"copy of {original.image_id}"),
        split=split,
        label=KINDS[original.kind].lookalike if wrong else original.kind,
        qc=_WRONG if wrong and turn % 2 else original.qc,
        copy_of=original.image_id,
        change=CHANGES[turn % len(CHANGES)],
    )


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
