"""Where the lesion is known: masks as PNG files, fitted to the network's input as photos are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from ajl_tf.dataset.images import REFUSALS, Fit, decode, fit, to_input
from ajl_tf.errors import UserError, listed
from ajl_tf.files import photo_file

_HALF = 127.5


def read_masks(
    folder: Path, image_ids: Sequence[str], paths: Sequence[str], canvas: int, mode: Fit
) -> np.ndarray:
    """Reads `<folder>/<image_id>.png`, bright (above 127) where the lesion is.

    Args:
        folder: As `python -m ajl_tf.draw` writes one: `masks/`.
        image_ids: Of N photos.
        paths: The photos, whose size in pixels a mask must have.
        canvas: Side of the canvas in pixels.
        mode: How photos are fitted to it.

    Returns:
        uint8 `(N, canvas, canvas, 3)`; give it to `resized`.

    Raises:
        UserError: Each mask that is missing, unreadable or of another size than its photo.
    """
    if not folder.is_dir():
        raise UserError(f"--masks takes a folder of <image_id>.png. Received: {folder}")
    masks, problems = [], []
    for image_id, path in zip(image_ids, paths, strict=True):
        file = photo_file(folder, image_id)
        if not file.is_file():
            problems.append(f"{file} is missing")
            continue
        try:
            mask = decode(tf.constant(file.read_bytes()))
        except tf.errors.InvalidArgumentError as error:
            why = next((words for words in REFUSALS if words in error.message), "damaged")
            problems.append(f"{file}: {why}")
            continue
        photo = decode(tf.constant(Path(path).read_bytes()))
        if mask.shape != photo.shape:
            width, height, other = mask.shape[1], mask.shape[0], photo.shape
            problems.append(f"{file}: {width}×{height}, its photo {other[1]}×{other[0]} pixels")
            continue
        masks.append(fit(mask, canvas, mode).numpy())
    if problems:
        raise UserError(f"masks do not fit their photos:\n{listed(problems)}")
    return np.stack(masks)


def resized(masks: np.ndarray, size: int) -> np.ndarray:
    """Masks as `read_masks` gives them, at another side: bool `(N, size, size)`."""
    inputs: np.ndarray = to_input(tf.constant(masks), size).numpy()
    return np.asarray(inputs.mean(axis=-1) > _HALF)
