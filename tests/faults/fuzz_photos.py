"""Feeds broken JPEGs and PNGs to both decoders: a picture or a reason comes of each, never a crash.

    python tests/faults/fuzz_photos.py --files 10000

`dataset.reading` (training, evaluation, serving) and `inspection.photos` (explore) read what
`breaking` makes, in a process of its own that is watched: one that dies, hangs or takes too much
memory, or leaves a file where it runs or where temporary ones go, is reported with the number of
the file, which `--first N --files 1` repeats. Every few hundred are read once more together, which
tf.data does, and must come to the same; a fault in that is reported with the number after them.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from breaking import broken, stored

from ajl_tf.errors import UserError, run_verb

SIDE = 48  # of the canvas
TOGETHER = 500  # files; more than `read_photos` reads in threads
HANGS = 30  # seconds for one file; a photo of all pixels that are allowed takes about two
MOST_MEMORY = 3 * 2**30  # bytes: TensorFlow, and twice the largest photo that is allowed


def main(argv: list[str] | None = None) -> int:
    """Runs the verb."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="N")
    parser.add_argument("--told", type=Path, help=argparse.SUPPRESS)  # of the process that reads
    options = parser.parse_args(argv)
    numbers = range(options.first, options.first + options.files)
    if options.told:
        read_all(numbers, options.told)
    with tempfile.TemporaryDirectory() as folder:
        counts, faults, peak = watch(numbers, Path(folder))
    for (reader, outcome), count in sorted(counts.items()):
        print(f"{reader:<12}{count:>8,}  {outcome}")
    print(f"{options.files:,} files, at most {peak / 2**20:,.0f} MiB")
    if faults:
        raise UserError("\n".join(faults))
    return 0


def watch(
    numbers: range, folder: Path
) -> tuple[collections.Counter[tuple[str, str]], list[str], int]:
    """Has all files read; returns how often each came of it, what went wrong, and peak memory."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    faults: list[str] = []
    peak, first = 0, numbers.start
    home = folder / "home"
    home.mkdir()
    around = os.environ | dict.fromkeys(("HOME", "TMPDIR"), str(home))
    around |= {name: str(folder / name) for name in ("MPLCONFIGDIR", "KERAS_HOME")}  # settings
    while first < numbers.stop:
        told = folder / f"{first}.jsonl"
        command = [sys.executable, str(Path(__file__).resolve()), "--first", str(first)]
        command += ["--files", str(numbers.stop - first), "--told", str(told)]
        with (folder / "stderr").open("wb") as said:
            process = subprocess.Popen(command, stderr=said, cwd=home, env=around)
            hung = _hangs(process, told)
        lines = told.read_text().splitlines() if told.exists() else []
        read = [json.loads(line) for line in lines]
        for line in read:
            counts.update(line["outcomes"].items())
            peak = max(peak, line["memory"])
        first += len(read)
        if hung:
            faults.append(f"file {first}: nothing came of it within {HANGS} seconds")
        elif process.returncode or first < numbers.stop:
            tail = (folder / "stderr").read_text(errors="replace").splitlines()[-3:]
            faults.append(f"file {first}: exit code {process.returncode}: {' / '.join(tail)}")
        if not read and len(faults) > 10:
            break  # what is wrong is not the files
        first += bool(hung or process.returncode)
    if written := sorted(str(path.relative_to(home)) for path in home.rglob("*")):
        faults.append(f"files were written that nobody asked for: {', '.join(written[:5])}")
    if peak > MOST_MEMORY:
        faults.append(f"{peak / 2**30:.1f} GiB of memory")
    return counts, faults, peak


def _hangs(process: subprocess.Popen[bytes], told: Path) -> bool:
    """Waits for the process to end; True where it had to be killed."""
    size, since = -1, time.monotonic() + HANGS  # once more as long to begin
    while process.poll() is None:
        time.sleep(0.1)
        now = told.stat().st_size if told.exists() else -1
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() > since + HANGS:
            process.kill()
            process.wait()
            return True
    return False


def read_all(numbers: range, told: Path) -> NoReturn:
    """Reads the files of these numbers with both decoders, and writes a line about each."""
    from ajl_tf.dataset.canvases import preprocessor
    from ajl_tf.dataset.reading import read_photos
    from ajl_tf.inspection.photos import open_photo

    preprocess = preprocessor(SIDE, "cover")
    photos = stored()
    alone: dict[Path, np.ndarray | str] = {}
    with told.open("w", buffering=1) as lines:
        for number in numbers:
            data = broken(photos, number)
            path = told.with_name(f"{number}.photo")
            path.write_bytes(data)
            (canvas,) = read_photos([path], preprocess)
            alone[path] = canvas
            if not isinstance(canvas, str):
                assert canvas.shape == (SIDE, SIDE, 3), canvas.shape
            try:
                seen: str | Any = open_photo(data)
            except ValueError as error:
                seen = str(error)
            outcomes = {"reading": _outcome(canvas), "inspection": _outcome(seen)}
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            lines.write(json.dumps({"outcomes": outcomes, "memory": memory}) + "\n")
            if len(alone) == TOGETHER or number == numbers[-1]:
                for path, canvas in zip(alone, read_photos(list(alone), preprocess), strict=True):
                    np.testing.assert_array_equal(canvas, alone[path], path.name)
                    path.unlink()
                alone = {}
    raise SystemExit(0)


def _outcome(read: object) -> str:
    return read.split(" (it begins")[0] if isinstance(read, str) else "a picture"


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
