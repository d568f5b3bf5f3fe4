"""Small copies of photos for a page, embedded as data, without what the file says of its camera."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps

SIDE = 176  # px: twice what a page shows, for sharp screens
_QUALITY = 72


def thumbnail(path: str | Path, side: int = SIDE) -> str | None:
    """A photo, upright, its longer side at most `side` px, as the `data:` address of a JPEG.

    Returns:
        None where Pillow cannot read the file.
    """
    try:
        with warnings.catch_warnings():
            # Between 89 and 179 million pixels Pillow warns; beyond, it refuses.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as photo:
                photo.draft("RGB", (side, side))  # a JPEG is decoded no larger than needed
                upright = ImageOps.exif_transpose(photo).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # what Pillow raises for damaged files; a damaged PNG is a SyntaxError
    upright.thumbnail((side, side))
    on_white = Image.new("RGB", upright.size, "white")
    on_white.paste(upright, mask=upright.getchannel("A"))
    buffer = io.BytesIO()
    on_white.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
