"""Writes a drawn set as a whole or not at all, and replaces nothing but an unchanged drawn set."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ajl_tf.dataset.phantom.picture import encode_photo
from ajl_tf.dataset.phantom.plan import Photo, plan_photos
from ajl_tf.dataset.phantom.tables import text_files
from ajl_tf.errors import UserError

MIN_SIZE = 48
_MARKER = "drawn.json"


def draw_set(out: Path, images: int = 1000, size: int = 160, seed: int = 0) -> Path:
    """Writes a set of DRAWN photos in the competition's layout.

    The same arguments write the same bytes on the same machine and library versions, whatever the
    number of processors. The set is drawn beside `out` and renamed when it is complete.

    Args:
        out: The folder to make. It may be missing, empty, or a drawn set that nobody has changed,
            which is replaced.
        images: How many, training and test together.
        size: Side in pixels of a square of a photo's area; aspect ratios vary.
        seed: 0 or more.

    Returns:
        `out`, absolute.

    Raises:
        UserError: `out` holds something else, or a number is out of range.
    """
    out = Path(out).resolve()
    if size < MIN_SIZE:
        raise UserError(f"The size must be at least {MIN_SIZE} pixels. Received: {size}.")
    photos = plan_photos(images, seed)
    _check_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    drawing = out.with_name(f".{out.name}.drawing-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        _fill(drawing, photos, size, seed)
        for name, text in text_files(photos, images, size, seed).items():
            (drawing / name).write_text(text, encoding="utf-8", newline="")
        settings = {"images": images, "size": size, "seed": seed}
        marker = {"drawn": True, **settings, "sha256": _digest(drawing)}
        (drawing / _MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
        _check_replaceable(out)  # it may have changed meanwhile
        _move_into_place(drawing, out)
    finally:
        shutil.rmtree(drawing, ignore_errors=True)
    return out


def _fill(folder: Path, photos: list[Photo], size: int, seed: int) -> None:
    """Draws every photo and its mask. NumPy and Pillow let threads run side by side."""
    for sub in ("masks", "test/test", *(f"train/train/{p.label}" for p in photos)):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(partial(_write_photo, folder, size, seed), photos):
            pass  # raises what a thread raised; the rest is then cancelled


def _write_photo(folder: Path, size: int, seed: int, photo: Photo) -> None:
    jpeg, png = encode_photo(photo, size, seed)
    place = f"train/train/{photo.label}" if photo.split == "train" else "test/test"
    (folder / place / f"{photo.image_id}.jpg").write_bytes(jpeg)
    (folder / "masks" / f"{photo.image_id}.png").write_bytes(png)


def _digest(folder: Path) -> str:
    """Of the names and contents of all files but the marker."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        if (name := path.relative_to(folder).as_posix()) != _MARKER:
            digest.update(f"{name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file, but the drawn set needs a folder. Name another one.")
    if os.path.ismount(out):
        raise UserError(f"{out} is a mount point and cannot be replaced. Name a folder inside it.")
    if any(out.iterdir()) and not _is_unchanged_set(out):
        raise UserError(
            f"{out} is not empty, and it is not a drawn set as this command left it: something in "
            "it was made or changed by somebody else. Name another folder, or move this one."
        )


def _is_unchanged_set(folder: Path) -> bool:
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(marker, dict) and marker.get("sha256") == _digest(folder)


def _move_into_place(drawing: Path, out: Path) -> None:
    if not out.exists():
        drawing.rename(out)
        return
    old = drawing.with_name(f"{drawing.name}.old")
    out.rename(old)
    try:
        drawing.rename(out)
    except BaseException:
        old.rename(out)
        raise
    shutil.rmtree(old)
