"""Opens photos without TensorFlow, as `dataset.images` does with it: upright, on white, in RGB."""

from __future__ import annotations

import io
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from ajl_tf.dataset.refusals import DAMAGED, MAX_PIXELS, TOO_LARGE, UNKNOWN_INKS, unlike_a_photo
from ajl_tf.inspection.colour import Pixels, reduced
from ajl_tf.orientation import is_turned, upright

SIDE, SMALL_SIDE = 512, 256  # pixels of the shorter side, at most; a network sees about the latter


class Photo(NamedTuple):
    """A photo and its size.

    Attributes:
        image: uint8 `(h, w, 3)`, RGB, at most `SIDE` on the shorter side.
        small: Likewise, at most `SMALL_SIDE`.
        width: In pixels of the photo as it is stored, upright.
        height: Likewise.
    """

    image: Pixels
    small: Pixels
    width: int
    height: int


def open_photo(data: bytes) -> Photo:
    """Decodes a JPEG or PNG.

    Args:
        data: The file's content.

    Raises:
        ValueError: Why it is no photo that can be used.
    """
    if not data:
        raise ValueError("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, and of more than 89 million pixels
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as opened:
                return _decoded(opened)
        except UnidentifiedImageError:
            raise ValueError(unlike_a_photo(data)) from None
        except Image.DecompressionBombError:
            raise ValueError(TOO_LARGE) from None
        except _RefusedError:
            raise
        except Exception:  # a damaged or hostile file brings decoders to raise anything
            raise ValueError(DAMAGED) from None


class _RefusedError(ValueError):
    """For a reason that is known."""


def _decoded(opened: Image.Image) -> Photo:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise _RefusedError(TOO_LARGE)
    if opened.mode == "CMYK" and "adobe" not in opened.info:
        raise _RefusedError(UNKNOWN_INKS)
    opened.draft("RGB", (SIDE, SIDE))  # a large JPEG is decoded at a part of its size
    photo = upright(opened)
    if is_turned(opened):
        width, height = height, width
    image = reduced(_pixels(photo), SIDE)
    return Photo(image, reduced(image, SMALL_SIDE), width, height)


def _pixels(photo: Image.Image) -> Pixels:
    if photo.mode.startswith("I;16"):
        grey = (np.asarray(photo) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if photo.has_transparency_data:
        white = Image.new("RGBA", photo.size, "white")
        photo = Image.alpha_composite(white, photo.convert("RGBA"))
    return np.asarray(photo.convert("RGB"))
