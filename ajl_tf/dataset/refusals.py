"""Why a file is no photo that can be used, in the words that every decoder here shares."""

from __future__ import annotations

# Decoded, a pixel takes three bytes or more: a file of some kilobytes can ask for all the memory
# there is. Phones make up to 108 million.
MAX_PIXELS = 120_000_000
NOT_A_PHOTO = "not a JPEG or PNG photo"
TOO_LARGE = f"more than {MAX_PIXELS // 10**6} million pixels; make it smaller"
UNKNOWN_INKS = (
    "a CMYK JPEG without the Adobe marker, which does not say whether its inks are inverted; "
    "convert it to RGB"
)
TOO_MANY_PIECES = (
    "made of more pieces (segments or chunks) than any photo; open it and save it again as JPEG or "
    "PNG"
)
DAMAGED = "damaged, cut short or of a rare kind; open it and save it again as JPEG or PNG"

_FORMATS = (
    (b"GIF8", 0, "a GIF"),
    (b"BM", 0, "a BMP"),
    (b"WEBP", 8, "a WebP"),
    (b"ftyphei", 4, "a HEIC"),
    (b"ftyphev", 4, "a HEIC"),
    (b"ftypmif", 4, "a HEIC"),
    (b"ftypavif", 4, "an AVIF"),
    (b"II*\0", 0, "a TIFF"),
    (b"MM\0*", 0, "a TIFF"),
    (b"%PDF", 0, "a PDF"),
)


def unlike_a_photo(data: bytes) -> str:
    """What a file is that is neither JPEG nor PNG, by its first bytes."""
    for magic, at, name in _FORMATS:
        if data[at : at + len(magic)] == magic:
            return f"{name} file; convert it to JPEG or PNG"
    return f"{NOT_A_PHOTO} (it begins with {data[:8]!r})"
