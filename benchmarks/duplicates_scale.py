"""Time and memory of `find_duplicates` among generated photos, 100,000 of them if you like.

    python benchmarks/duplicates_scale.py --photos 100000 --folder /tmp/generated

The photos and the cache stay in the folder, so that a second call finds them. One photo in a
hundred has a copy, turned, cropped and stored again, whose recall is told as well.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pandas as pd

from ajl_tf.errors import run_verb
from ajl_tf.inspection.duplicates import find_duplicates
from ajl_tf.inspection.examination import FINGERPRINTS, examine
from ajl_tf.inspection.store import with_store

T = TypeVar("T")
HEIGHT, WIDTH = 144, 192
EVERY = 100  # one photo in so many is copied


def main(argv: Sequence[str] | None = None) -> int:
    """Prints seconds, and the memory that each step adds to the peak before it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, required=True, help="for photos and cache")
    options = parser.parse_args(argv)
    count, folder = options.photos, options.folder
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    timed("drawing", count, lambda: draw_all(count, folder / "photos"))
    find_duplicates(table(50, folder / "photos"), None)  # what the libraries take is in the peak
    manifest = timed("the table", count, lambda: table(count, folder / "photos"))
    cache, paths = folder / "cache", manifest["path"].tolist()

    def look() -> int:
        return with_store(cache, lambda store: len(examine(paths, store, [FINGERPRINTS])))

    timed("fingerprints", count, look)
    pairs = timed("duplicates", count, lambda: find_duplicates(manifest, cache))
    timed("duplicates again", count, lambda: find_duplicates(manifest, cache))
    found = set(pairs[["first", "second"]].itertuples(index=False, name=None))
    copies = {(f"{number:07}", f"{number:07}c") for number in range(0, count, EVERY)}
    print(
        f"copies found: {len(found & copies)} of {len(copies)}; other pairs: {len(found - copies)}"
    )
    return 0


def timed(name: str, photos: int, work: Callable[[], T]) -> T:
    """Does the work and prints what it took."""
    before, start = peak(), time.monotonic()
    result = work()
    seconds, more = time.monotonic() - start, peak() - before
    print(f"{name:17} {seconds:8.1f} s  {more / 1024:8.1f} MB  {more / photos:6.2f} KB a photo")
    return result


def peak() -> float:
    """The most memory that this process has ever held, in KB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024 if sys.platform == "darwin" else most


def table(count: int, folder: Path) -> pd.DataFrame:
    """The photos and the copies, `image_id` and `path`."""
    ids = [f"{number:07}" for number in range(count)]
    ids += [f"{image_id}c" for image_id in ids[::EVERY]]
    return pd.DataFrame({"image_id": ids, "path": [str(folder / f"{name}.jpg") for name in ids]})


def draw_all(count: int, folder: Path) -> None:
    """Writes the photos that are not there yet."""
    there = {path.name for path in folder.iterdir()}
    missing = [number for number in range(count) if f"{number:07}.jpg" not in there]
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda number: write(number, folder), missing):
            pass


def write(number: int, folder: Path) -> None:
    """Writes a photo, its copy first if it has one."""
    photo = draw(np.random.default_rng(number))
    if number % EVERY == 0:
        rows, columns = number % 37, number % 41
        copy = np.rot90(photo[rows : rows + 100, columns : columns + 140])
        cv2.imwrite(str(folder / f"{number:07}c.jpg"), copy, [cv2.IMWRITE_JPEG_QUALITY, 60])
    cv2.imwrite(str(folder / f"{number:07}.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 85])


def draw(rng: np.random.Generator) -> np.ndarray:
    """Skin-coloured noise of all sizes, with some blotches; uint8 `(HEIGHT, WIDTH, 3)`, BGR."""
    field = np.zeros((HEIGHT, WIDTH), np.float32)
    for side in (3, 6, 12, 24, 48, 96):
        noise = rng.normal(0, 1, (side, side * 4 // 3)).astype(np.float32)
        field += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * side**-0.5
    for _ in range(rng.integers(1, 12)):
        centre = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        axes = int(rng.integers(3, 30)), int(rng.integers(3, 30))
        turn, darker = float(rng.uniform(0, 180)), float(rng.normal(-1, 0.7))
        blotch = np.zeros_like(field)
        cv2.ellipse(blotch, centre, axes, turn, 0, 360, darker, -1)
        field += cv2.GaussianBlur(blotch, (0, 0), float(rng.uniform(0.8, 4)))
    colour = np.array([120, 150, 190]) * rng.uniform(0.5, 1.1)
    return np.clip(colour + 28 * field[..., None], 0, 255).astype(np.uint8)


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
