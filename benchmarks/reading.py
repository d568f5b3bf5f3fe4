"""From JPEG files to batches: our reading beside Pillow's, later epochs beside the network, memory.

    python benchmarks/reading.py

1. First epoch: `read_photos`, which `train` and `predict` use, against Pillow (its
   own libjpeg-turbo and an antialiased resize) in a pool of threads, on all cores: JPEG files to
   square canvases; and against the same with `draft`, by which libjpeg scales large photos down
   while it decodes, as ours does. Each in a process of its own, in turn, several rounds; a figure
   is the median. How far apart the canvases are is printed; photos of several sizes, because the
   share of decoding and of resizing depends on it. `--parts stages` tells where the time of one
   photo goes.
2. Later epochs: batches of canvases as the train step gets them (order, draws, gathering), with
   nothing that trains: photos a second, to be set against those of the network.
3. Memory: what this process has more of, files' pages left out, when it takes batches of a set of
   many rows whose canvases lie in a file, the first epoch's order drawn and its first batches made.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ajl_tf import process

process.prepare()  # as every verb does, before TensorFlow is imported

import numpy as np  # noqa: E402

from ajl_tf.errors import run_verb  # noqa: E402

WAYS = ("ours", "pillow", "pillow_draft")  # the last scales while it decodes, where ours does
PARTS = ("first", "stages", "later", "memory")
SIZES = ("320x400", "1200x1600", "3000x4000")
WARM = 8  # photos: the first ones trace


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each size of photo, for later epochs, and for memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--canvas", type=int, default=256)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="height x width of the photos")
    parser.add_argument("--megapixels", type=int, default=400, help="how much of each size is read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the set in the third part")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--way", help=argparse.SUPPRESS)  # what a child measures
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.way:
        print(json.dumps(WAY[options.way](options)))
        return 0
    for part in options.parts:
        PART[part](options)
    return 0


def first(options: argparse.Namespace) -> None:
    """Prints photos a second of both ways."""
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            options.folder = Path(folder)
            photos = _make(options.folder, size, options.megapixels)
            speeds: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                for way, seen in speeds.items():
                    seen.append(_child(way, options))
            ours, theirs, _ = (np.load(options.folder / f"{way}.npy").astype(int) for way in WAYS)
        medians = {way: statistics.median(seen) for way, seen in speeds.items()}
        apart = np.abs(ours - theirs)
        print(
            f"{size}, {photos} photos: "
            + ", ".join(
                f"{way} {medians[way]:.0f} photos/s ({min(seen):.0f} to {max(seen):.0f})"
                for way, seen in speeds.items()
            )
            + f", ratios {medians['ours'] / medians['pillow']:.2f} and "
            f"{medians['ours'] / medians['pillow_draft']:.2f}; "
            f"{apart.mean():.2f} levels apart, 99 % at most {np.quantile(apart, 0.99):.0f}",
            flush=True,
        )


def _make(folder: Path, size: str, megapixels: int) -> int:
    """Photos with large and small detail; few different ones, as many files as it takes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    height, width = (int(number) for number in size.split("x"))
    count = max(4 * WARM, round(megapixels * 1e6 / height / width))
    for number in range(min(count, 8)):
        pixels = rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
        photo = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        grain = rng.normal(0, 6, (height, width, 3))
        pixels = np.clip(np.asarray(photo) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.jpg", quality=88)
    for number in range(8, count):
        os.link(folder / f"{number % 8:06d}.jpg", folder / f"{number:06d}.jpg")
    return count


def _child(way: str, options: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--way", way, "--folder", str(options.folder)]
    command += ["--canvas", str(options.canvas)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    speed: float = json.loads(done.stdout.splitlines()[-1])
    return speed


def ours(options: argparse.Namespace) -> float:
    """Photos a second, as `train` and `predict` read them."""
    from ajl_tf.dataset.canvases import preprocessor
    from ajl_tf.dataset.reading import read_photos

    paths, preprocess = sorted(options.folder.glob("*.jpg")), preprocessor(options.canvas, "cover")
    list(read_photos(paths[:WARM], preprocess))
    start = time.perf_counter()
    canvases = list(read_photos(paths, preprocess))
    seconds = time.perf_counter() - start
    np.save(options.folder / "ours.npy", np.stack(canvases[:WARM]))
    return len(paths) / seconds


def pillow(options: argparse.Namespace) -> float:
    """Photos a second of a competent loader on Pillow."""
    least = 2 * options.canvas if options.way == "pillow_draft" else None
    canvas = partial(_canvas, size=options.canvas, least=least)
    paths = sorted(options.folder.glob("*.jpg"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(canvas, paths[:WARM]))
        start = time.perf_counter()
        canvases = list(pool.map(canvas, paths))
    seconds = time.perf_counter() - start
    np.save(options.folder / f"{options.way}.npy", np.stack(canvases[:WARM]))
    return len(paths) / seconds


def _opened(path: Path, least: int | None = None) -> Any:
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        if least:
            opened.draft("RGB", (least, least))
        return ImageOps.exif_transpose(opened).convert("RGB")


def _canvas(path: Path, size: int, least: int | None = None) -> np.ndarray:
    from PIL import Image

    photo = _opened(path, least)
    side = min(photo.size)
    left, top = ((length - side) // 2 for length in photo.size)
    box = (left, top, left + side, top + side)
    return np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR, box))


def stages(options: argparse.Namespace) -> None:
    """Prints milliseconds of processors that a photo takes, stage by stage, beside Pillow's."""
    import tensorflow as tf

    from ajl_tf.dataset import headers, images

    side, file = options.canvas, [tf.TensorSpec([], tf.string)]
    decode = partial(tf.io.decode_jpeg, channels=3, dct_method="INTEGER_ACCURATE")
    pixels = [tf.TensorSpec([None, None, 3], tf.uint8)]
    of_file = {
        "all": tf.function(lambda data: images.read(data, side, "cover"), file),
        "the file's segments": tf.function(lambda data: headers.jpeg_header(data).size, file),
        "decoding": tf.function(decode, file),
    }
    resize = tf.function(lambda photo: images.fit(photo, side, "cover"), pixels)
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            _make(Path(folder), size, 0)
            path = Path(folder) / "000000.jpg"
            data = tf.constant(path.read_bytes())
            photo = decode(data)
            ways: dict[str, Callable[[], object]] = {
                **{name: partial(way, data) for name, way in of_file.items()},
                "resize": lambda photo=photo: resize(photo),
                "Pillow's decoding": lambda path=path: _opened(path),
                "all of Pillow": lambda path=path: _canvas(path, side),
            }
            taken = {name: _processor_ms(way, options.rounds) for name, way in ways.items()}
        told = ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in taken.items())
        print(f"{size}, ms of processors a photo: {told}", flush=True)


def _processor_ms(way: Callable[[], object], rounds: int) -> float:
    """Of one call, this process's threads together: the median over rounds of twenty."""
    way()  # traces
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(20):
            way()
        seconds.append((time.process_time() - start) / 20)
    return 1000 * statistics.median(seconds)


def later(options: argparse.Namespace) -> None:
    """Prints photos a second of the train step's input: from memory, and from a file.

    The file as a set too large for memory has it: once in the pages that the system keeps, once
    with those given back before each epoch.
    """
    shape = (2288, options.canvas, options.canvas, 3)
    canvases = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "canvases.npy"
        np.save(file, canvases)
        mapped = np.load(file, mmap_mode="r")
        ways = {"memory": (canvases, False), "file, kept": (mapped, False)}
        ways["file, not kept"] = mapped, True
        for name, (rows, forgotten) in ways.items():
            gone = file if forgotten else None
            speeds = [_epoch(rows, options, gone) for _ in range(options.rounds)]
            print(
                f"later epochs from {name}, all augmentation drawn: "
                f"{statistics.median(speeds):.0f} photos/s "
                f"({min(speeds):.0f} to {max(speeds):.0f})",
                flush=True,
            )


def _epoch(canvases: np.ndarray, options: argparse.Namespace, forget: Path | None) -> float:
    """Photos a second of an epoch; of a file to `forget` the system keeps nothing before it."""
    if forget:
        with forget.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    for _ in _batches(canvases, options, range(1)):
        pass
    return len(canvases) / (time.perf_counter() - start)


def memory(options: argparse.Namespace) -> None:
    """Prints what taking batches of many rows needs beside the file of canvases."""
    with tempfile.TemporaryDirectory() as folder:
        shape = (options.rows, options.canvas, options.canvas, 3)
        file = Path(folder) / "canvases.npy"
        # Holes in a file read as zeros and take no room on the disk.
        np.lib.format.open_memmap(file, "w+", np.uint8, shape).flush()
        canvases = np.load(file, mmap_mode="r")
        few = canvases[: 10 * options.batch_size]
        for _ in _batches(few, options, range(1)):
            pass
        before, seen, over = _memory(), [0], threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                seen.append(_memory())

        watching = threading.Thread(target=watch)
        watching.start()
        for _ in _batches(canvases, options, range(1)).take(50):
            pass
        over.set()
        watching.join()
    more = max(seen) - before
    each = more / options.rows
    print(f"{options.rows:,} rows: {more / 2**20:.0f} MiB more at the peak, {each:.0f} bytes a row")


def _batches(canvases: np.ndarray, options: argparse.Namespace, epochs: range) -> Any:
    """What `fit` takes its steps from, all augmentation drawn."""
    from training_speed import ALL, CLASSES

    from ajl_tf.dataset.pipeline import training_batches
    from ajl_tf.training.plan import EpochPlan

    rows = len(canvases)
    targets = np.zeros((rows, CLASSES), np.float32)
    keys = np.arange(rows, dtype=np.uint64)
    size = round(options.canvas * 7 / 8)
    plan = EpochPlan(0, np.arange(rows), keys, None, ALL, options.canvas, size)
    return training_batches(
        canvases, targets, plan, draws=plan.draws, epochs=epochs, batch_size=options.batch_size
    )


def _memory() -> int:
    """Bytes of this process but for the pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (held,) = (line.split()[1] for line in lines if line.startswith("RssAnon:"))
    return 1024 * int(held)


WAY = {"ours": ours, "pillow": pillow, "pillow_draft": pillow}
PART = {"first": first, "stages": stages, "later": later, "memory": memory}


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
