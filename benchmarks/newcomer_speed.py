"""Images a second in training: `fit` as `train` runs it beside a script from the Keras guide.

    python benchmarks/newcomer_speed.py

The newcomer's script is that of `time_to_score.py`: `image_dataset_from_directory`, random flips
and turns as layers of the network, MobileNetV2 at 224 pixels, everything else as `compile` and
`fit` have it by default. Ours is the same network from canvases, once with flips and turns, once
with all augmentation. Drawn photos, random weights, one phase with a frozen backbone and one with
all layers but BatchNormalization; each in a process of its own, in turn, several rounds. The first
epoch of a phase, which traces, is left out; the newcomer's is printed. An epoch of the newcomer's
also scores 32 photos, as Keras counts it; ours has none to score.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from training_speed import ALL, epochs, noise

from ajl_tf.config import Augment, Phase
from ajl_tf.errors import run_verb

PHASES = ("frozen", "all layers")
NEWCOMER = "newcomer"
GUIDE = Augment(horizontal_flip=True, rotation=36.0)  # as the guide's two layers
WAYS = {"ours, flips and turns": GUIDE, "ours, all augmentation": ALL}


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each phase."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3, help="of each phase, at least 2")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)  # of the child
    options = parser.parse_args(argv)
    if options.way:
        print(json.dumps(ours(options)))
        return 0
    seen: dict[str, list[list[list[float]]]] = {way: [] for way in (*WAYS, NEWCOMER)}
    with tempfile.TemporaryDirectory() as place:
        photos = draw(Path(place), options.photos)
        for _ in range(options.rounds):
            for way in WAYS:
                seen[way].append(_child(way, options))
            seen[NEWCOMER].append(newcomers(photos, options))
    for number, phase in enumerate(PHASES):
        speeds = {
            way: options.photos / statistics.median(s for each in rounds for s in each[number][1:])
            for way, rounds in seen.items()
        }
        first = statistics.median(each[number][0] for each in seen[NEWCOMER])
        print(
            f"{phase}: {speeds[NEWCOMER]:.1f} images/s for the newcomer, whose first epoch takes "
            f"{first:.0f} s; "
            + "; ".join(
                f"{way} {speeds[way]:.1f}, {speeds[way] / speeds[NEWCOMER]:.1f} times"
                for way in WAYS
            ),
            flush=True,
        )
    return 0


def draw(folder: Path, photos: int) -> Path:
    """Drawn photos, so many to train on, in the folders that the guide's script looks for."""
    from ajl_tf.dataset.phantom import draw_set

    drawn = draw_set(folder / "drawn", 2 * photos, 320, 0)
    files = sorted((drawn / "train" / "train").rglob("*.jpg"), key=lambda path: path.name)
    sides = {"train": files[:photos], "validation": files[photos : photos + 32]}
    for side, own in sides.items():
        for label in {file.parent.name for file in files}:
            (folder / "photos" / side / label).mkdir(parents=True)
        for file in own:
            file.rename(folder / "photos" / side / file.parent.name / file.name)
    return folder / "photos"


def ours(options: argparse.Namespace) -> list[list[float]]:
    """Seconds of each epoch of each phase."""
    options.backbone, options.size, options.batch_size = "mobilenet_v2", 224, 32
    rows = noise(options.photos, 256)
    return [
        epochs(
            rows,
            options,
            Phase(name="it", epochs=options.epochs, unfreeze=depth, learning_rate=1e-5),
            WAYS[options.way],
        )
        for depth in (0.0, 1.0)
    ]


def _child(way: str, options: argparse.Namespace) -> list[list[float]]:
    command = [sys.executable, __file__, "--way", way]
    command += ["--photos", str(options.photos), "--epochs", str(options.epochs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def newcomers(photos: Path, options: argparse.Namespace) -> list[list[float]]:
    """The same of the guide's script, from the times of its lines."""
    script = Path(__file__).with_name("time_to_score.py")
    command = [sys.executable, str(script), "--newcomer", str(photos), "--newcomer-weights", "none"]
    command += ["--newcomer-epochs", *[str(options.epochs)] * 2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        times = [time.monotonic() for line in process.stdout if line.startswith(("{", "begins"))]
    if process.returncode or len(times) != 1 + 2 * options.epochs:
        raise RuntimeError(f"the newcomer's script ended with exit code {process.returncode}")
    taken = [after - before for before, after in itertools.pairwise(times)]
    return [taken[: options.epochs], taken[options.epochs :]]


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
