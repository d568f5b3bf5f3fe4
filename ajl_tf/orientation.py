"""Turns a photo that Pillow has opened as its EXIF says, whatever else stands there."""

from __future__ import annotations

from PIL import Image

_TAG, _TURNED = 0x0112, 5  # from 5 on, width and height change places
_UNDONE_BY = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(photo: Image.Image) -> Image.Image:
    """The photo as it is meant to be seen.

    Pillow's own `ImageOps.exif_transpose` writes all of EXIF anew, which any other tag that is
    malformed ends: a photo that a decoder takes would be taken for damaged.
    """
    method = _UNDONE_BY.get(_orientation(photo))
    return photo if method is None else photo.transpose(method)


def is_turned(photo: Image.Image) -> bool:
    """Whether width and height change places."""
    return _orientation(photo) >= _TURNED


def _orientation(photo: Image.Image) -> int:
    """1 to 8; 1, as stored, where it is not told or malformed, as for `dataset.exif`."""
    try:
        value = photo.getexif().get(_TAG, 1)
    except Exception:  # what a damaged or hostile block makes Pillow raise
        return 1
    return value if isinstance(value, int) and value in _UNDONE_BY else 1
