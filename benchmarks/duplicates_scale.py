"""Time and memory of the search for duplicates among many generated photos, and what it finds.

    python benchmarks/duplicates_scale.py --photos 100000 --folder data/generated

One photo in a hundred is drawn and has a copy: turned, mirrored or not, cropped, stored again. As
drawing all of them would take an hour, the others' fingerprints are put together: a picture of
cloudy noise, and points like those of drawn photos, each at a place of its own and each quarter of
its descriptor from another point. The fingerprints stay in the folder, about 15 KB a photo, so that
a second call finds them.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ajl_tf.errors import run_verb
from ajl_tf.inspection.examination import FINGERPRINTS
from ajl_tf.inspection.fingerprint import LENGTH, LOOK, POINTS, Fingerprint, fingerprint, unpack
from ajl_tf.inspection.matching import find_pairs
from ajl_tf.inspection.store import Store, with_store
from ajl_tf.inspection.work import in_threads

HEIGHT, WIDTH = 144, 192
EVERY = 100  # one photo in so many is drawn and copied
TOGETHER = 200  # photos that are made at once


def main(argv: Sequence[str] | None = None) -> int:
    """Prints seconds, processor seconds, and the memory that the search adds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, required=True, help="for the fingerprints")
    options = parser.parse_args(argv)
    count: int = options.photos
    digests = with_store(options.folder, lambda store: make_all(count, store))
    few = sorted(digests[:200])  # what the libraries take of memory is then in the peak before
    with_store(options.folder, lambda store: find_pairs(few, store))
    before, start, cpu_start = peak(), time.monotonic(), time.process_time()
    ordered = sorted(digests)
    pairs = with_store(options.folder, lambda store: find_pairs(ordered, store))
    seconds, cpu, more = time.monotonic() - start, time.process_time() - cpu_start, peak() - before
    found = {frozenset(pair[:2]) for pair in pairs}
    drawn = len(range(0, count, EVERY))
    copies = {frozenset(digest.hex() for digest in key_pair(at)) for at in range(0, count, EVERY)}
    print(
        f"{len(digests)} photos: {seconds:.0f} s, of processors {cpu:.0f} s; {more / 1024:.0f} MB, "
        f"{more / len(digests):.2f} KB a photo; copies found: {len(found & copies)} of {drawn}; "
        f"other pairs: {len(found - copies)}"
    )
    return 0


def peak() -> float:
    """The most memory that this process has ever held, in KB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024 if sys.platform == "darwin" else most


def key(name: str) -> bytes:
    """As long as a photo's digest."""
    return hashlib.sha256(name.encode()).digest()


def key_pair(number: int) -> tuple[bytes, bytes]:
    """Of a drawn photo and of its copy."""
    return key(f"{number}"), key(f"{number} copy")


def make_all(count: int, store: Store) -> list[bytes]:
    """Puts the fingerprints that are not there yet; the keys of all."""
    drawn = range(0, count, EVERY)
    missing = [number for number in drawn if not store.keys(FINGERPRINTS, key_pair(number)[1:])]
    for start in range(0, len(missing), TOGETHER):
        some = missing[start : start + TOGETHER]
        values = [pair for pairs in in_threads(draw_pair, some) for pair in pairs]
        store.put(FINGERPRINTS, values)
    keys = [digest for number in drawn for digest in key_pair(number)]
    source = [unpack(each) for each in store.get(FINGERPRINTS, keys[: 4 * TOGETHER : 2]).values()]
    for start in range(0, count, TOGETHER):
        numbers = [number for number in range(start, start + TOGETHER) if number % EVERY]
        names = [key(f"{number}") for number in numbers]
        if len(store.keys(FINGERPRINTS, names)) < len(names):
            made = put_together(source, len(names), np.random.default_rng(start))
            store.put(FINGERPRINTS, zip(names, made, strict=True))
        keys += names
    return keys


def draw_pair(number: int) -> list[tuple[bytes, bytes]]:
    """The fingerprints of a drawn photo and of its copy, with their keys."""
    rng = np.random.default_rng(number)
    photo = draw(rng)
    top, left = rng.integers(HEIGHT // 4), rng.integers(WIDTH // 4)
    copy = np.rot90(photo[top : top + 3 * HEIGHT // 4, left : left + 3 * WIDTH // 4])
    copy = copy[:, ::-1] if rng.random() < 0.5 else copy
    return [
        (digest, fingerprint(stored(image, quality)))
        for digest, image, quality in zip(key_pair(number), (photo, copy), (85, 60), strict=True)
    ]


def stored(image: np.ndarray, quality: int) -> np.ndarray:
    """As it comes back from a JPEG file."""
    data = cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data[1], cv2.IMREAD_COLOR), np.uint8)


def draw(rng: np.random.Generator) -> np.ndarray:
    """Skin-coloured noise of all sizes, with some blotches; uint8 `(HEIGHT, WIDTH, 3)`."""
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
    colour = np.array([190, 150, 120]) * rng.uniform(0.5, 1.1)
    return np.clip(colour + 28 * field[..., None], 0, 255).astype(np.uint8)


def put_together(
    source: Sequence[Fingerprint], count: int, rng: np.random.Generator
) -> Iterator[bytes]:
    """Fingerprints, packed as `fingerprint` packs them, of points like those of the source."""
    points = np.concatenate([each.points for each in source])
    descriptors = np.concatenate([each.descriptors for each in source])
    quarters = descriptors.reshape(len(descriptors), 4, LENGTH // 4)
    for _ in range(count):
        like = rng.integers(len(points), size=(4, POINTS))
        mixed = quarters[like, np.arange(4)[:, None]].transpose(1, 0, 2).astype(np.float32)
        mixed += rng.normal(0, 6, mixed.shape)
        places = points[like[0]]
        places[:, :2] = rng.uniform(4, 124, (POINTS, 2))
        places[:, 3] = rng.uniform(0, 360, POINTS)
        picture = cloudy(rng)
        look = cv2.resize(picture, (LOOK, LOOK), interpolation=cv2.INTER_AREA)
        yield b"".join(
            [
                POINTS.to_bytes(2, "little"),
                look.tobytes(),
                np.rint(places * 128).astype("<u2").tobytes(),
                np.clip(np.rint(mixed), 0, 255).astype(np.uint8).tobytes(),
                cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes(),
            ]
        )


def cloudy(rng: np.random.Generator) -> np.ndarray:
    """Grey noise of two sizes; uint8 `(128, 171)`."""
    field = np.zeros((128, 171), np.float32)
    for side in (4, 32):
        noise = rng.normal(0, side**-0.5, (side, side)).astype(np.float32)
        field += cv2.resize(noise, (171, 128), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 60 * field, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
