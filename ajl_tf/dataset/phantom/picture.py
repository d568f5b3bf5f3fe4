"""One drawn photo, as pixels and as the bytes of its files."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ajl_tf.dataset.phantom.camera import take_photo
from ajl_tf.dataset.phantom.kinds import KINDS
from ajl_tf.dataset.phantom.lesions import add_lesion
from ajl_tf.dataset.phantom.plan import Photo
from ajl_tf.dataset.phantom.skin import TONES, draw_skin

_ASPECTS = (1.0, 1.0, 4 / 3, 4 / 3, 3 / 4, 3 / 2)  # width / height


def draw_image(
    kind: str | None, tone: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draws a photo of skin with one kind of lesion. It is a drawing, not a photo of anyone.

    Args:
        kind: A name in `KINDS`; None draws the same skin, light and camera without the lesion.
        tone: Fitzpatrick tone, 1 to 6.
        size: Side in pixels of a square of the same area; the aspect ratio varies.
        rng: Source of randomness. Generators in the same state give the same photo.

    Returns:
        The photo, uint8 (H, W, 3) RGB, and the lesion's mask, bool (H, W).

    Raises:
        ValueError: There is no such kind or tone.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(
            f"There is no such drawn kind. Expected one of {list(KINDS)}. Received: {kind!r}"
        )
    if tone not in TONES:
        raise ValueError(f"A Fitzpatrick tone is 1 to 6. Received: {tone!r}")
    # Streams of their own, so that what the lesion uses up changes neither skin nor camera.
    framing, skin, lesion, camera = rng.spawn(4)
    aspect = float(framing.choice(_ASPECTS))
    shape = round(size / aspect**0.5), round(size * aspect**0.5)
    lab, mask = draw_skin(tone, shape, skin), np.zeros(shape, np.bool_)
    if kind is not None:
        lab, mask = add_lesion(lab, kind, tone, lesion)
    return take_photo(lab, camera), mask


def encode_photo(photo: Photo, size: int, seed: int) -> tuple[bytes, bytes]:
    """The JPEG of a planned photo and the PNG of its mask (255 lesion, 0 skin).

    They depend on the arguments alone: a copy draws its original again.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 1, photo.scene])))
    pixels, mask = draw_image(photo.kind, photo.tone, size, rng)
    jpeg = _jpeg(Image.fromarray(pixels), int(rng.integers(72, 96)))
    if photo.change not in ("", "exact"):
        image: Image.Image = Image.open(io.BytesIO(jpeg))
        if photo.change == "mirrored":
            image, mask = ImageOps.mirror(image), mask[:, ::-1]
        elif photo.change == "brightened":
            gain = rng.uniform(1.08, 1.25)
            image = image.point(lambda value: min(255, round(value * gain)))
        jpeg = _jpeg(image, int(rng.integers(50, 72)))
    return jpeg, _png(mask)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _png(mask: NDArray[np.bool_]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(file, "PNG")
    return file.getvalue()
