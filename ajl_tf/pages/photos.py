"""Small copies of photos for a page, embedded as data, without what the file says of its camera."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

from PIL import Image

from ajl_tf.orientation import upright

SIDE = 176  # px: twice what a page shows, for sharp screens
_QUALITY = 72


def thumbnail(path: str | Path, side: int = SIDE) -> str | None:
    """A photo, upright, its longer side at most `side` px, as the `data:` address of a JPEG.

    Returns:
        None where Pillow cannot read the file as the JPEG or PNG that the package takes.
    """
    try:
        with warnings.catch_warnings():
            # Between 89 and 179 million pixels Pillow warns; beyond, it refuses.
            # Of odd metadata it warns as well.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("JPEG", "PNG")) as opened:
                opened.draft("RGB", (side, side))  # a JPEG is decoded no larger than needed
                photo = upright(opened)
                if photo.mode.startswith("I;16"):
                    photo = photo.point(lambda value: value * (1 / 256)).convert("L")
                photo = photo.convert("RGBA")
    except Exception:  # a damaged or hostile file brings decoders to raise anything
        return None
    photo.thumbnail((side, side))
    on_white = Image.new("RGB", photo.size, "white")
    on_white.paste(photo, mask=photo.getchannel("A"))
    buffer = io.BytesIO()
    on_white.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
