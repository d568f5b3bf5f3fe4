"""Time and memory as the work grows: photos, classes, size, batch, folds, rows of a manifest.

    python benchmarks/growth.py --plot growth.svg
    python benchmarks/growth.py --profile

One thing grows at a time, the others stay as they are by default. The first four: an epoch of
`fit`, every layer of the backbone training, all augmentation, pictures of noise; the first epoch,
which traces, is left out. Folds: the whole of `python -m ajl_tf.train` on a drawn set. Rows: the
manifest of so many photos is read, copies are looked for and folds are made. Each in a
process of its own, whose most memory is taken; next to each figure stands how it compares with the
one before it, and with what would be linear. --profile says what the time of an epoch's steps goes
to, at the ends of each row: seconds of processors by kind of operation, by TensorFlow's profiler.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ajl_tf import process

process.prepare()  # as every verb does, before TensorFlow is imported

from ajl_tf.errors import run_verb  # noqa: E402

STEPS = {
    "photos": (64, 128, 256, 512),
    "classes": (10, 100, 1000, 10_000),
    "size": (64, 96, 128, 192),
    "batch": (8, 16, 32, 64),
    "folds": (2, 3, 4, 5),
    "rows": (10_000, 30_000, 100_000, 300_000),
}
USUAL = {"photos": 128, "classes": 21, "size": 96, "batch": 32}
UNITS = {"size": "pixels a side"}
EPOCHS = 4
# Beginnings of operations' names, oneDNN's without its own; the first that fits counts.
KINDS = {
    "depthwise convolutions, gradients": ("DepthwiseConv2dNativeBackprop",),
    "depthwise convolutions": ("FusedDepthwiseConv2d", "DepthwiseConv2d"),
    "convolutions, gradients": ("Conv2DBackprop",),
    "convolutions": ("FusedConv2D", "Conv2D"),
    "matrix products": ("FusedMatMul", "MatMul"),
    "activations": ("Relu", "Softmax"),
    "augmentation": ("ImageProjectiveTransform", "StatelessRandom"),
    "optimizer": ("Assign", "Sqrt", "Square"),
    "sums and products": ("Mul", "Add", "Sub", "RealDiv", "Sum", "Mean", "BiasAdd"),
    "moved and converted": (
        "Cast",
        "Transpose",
        "Pad",
        "Gather",
        "Concat",
        "Pack",
        "ResizeBilinear",
    ),
}
EXPERIMENT = """
name = "growth"
[split]
scheme = "{folds} folds"
[model]
backbone = "{backbone}"
weights = "none"
input_size = 64
[training]
keep = "last"
[[phases]]
name = "all"
epochs = 2
unfreeze = 1.0
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each size, and draws them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--what", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--plot", type=Path, help="an .svg to write")
    parser.add_argument("--profile", action="store_true", help="what the time goes to, no plot")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # what a child measures
    options = parser.parse_args(argv)
    if options.child:
        given = json.loads(options.child)
        way = profiled if options.profile else measured
        print(json.dumps(way(options.backbone, **given)))
        return 0
    if options.profile:
        profiles(options)
        return 0
    seen: dict[str, list[tuple[int, float, float]]] = {}
    for what in options.what:
        print(f"{what}: seconds, MiB at the most")
        seen[what] = []
        for step in STEPS[what]:
            seconds, memory = _child(what, step, options)
            seen[what].append((step, seconds, memory))
            print(f"  {step:>6} {seconds:8.2f} {memory:7.0f}{_grown(seen[what])}", flush=True)
    if options.plot:
        draw(seen, options.plot)
    return 0


def _grown(rows: Sequence[tuple[int, float, float]]) -> str:
    if len(rows) < 2:
        return ""
    (before, first, _), (now, second, _) = rows[-2:]
    return f"   {now / before:.2f} times as many, {second / first:.2f} times as long"


def _child(what: str, step: int, options: argparse.Namespace) -> Any:
    given = {**USUAL, what: step} if what in USUAL else {what: step}
    command = [sys.executable, __file__, "--backbone", options.backbone]
    command += ["--profile"] if options.profile else []
    command += ["--child", json.dumps(given)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def profiles(options: argparse.Namespace) -> None:
    """Prints a table: kinds of operation, and their seconds of processors at the ends of rows."""
    ends = [
        (what, step)
        for what in options.what
        if what in USUAL
        for step in (STEPS[what][0], STEPS[what][-1])
    ]
    found = {end: _child(*end, options) for end in ends}
    print("seconds of processors in an epoch, the first one counted in")
    print(" " * 36 + "".join(f"{what} {step}".rjust(15) for what, step in ends))
    for kind in (*KINDS, "others"):
        print(f"{kind:<36}" + "".join(f"{found[end].get(kind, 0):15.3f}" for end in ends))
    print(f"{'all':<36}" + "".join(f"{sum(found[end].values()):15.3f}" for end in ends))


def profiled(backbone: str, **given: int) -> dict[str, float]:
    """Seconds of processors in an epoch by kind of operation.

    An operation that waits for others, or is made of others, is not counted, nor what makes the
    graph: only what a thread does in kernels.
    """
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as place:
        with tf.profiler.experimental.Profile(place):
            _epoch(backbone, **given)
        (file,) = Path(place).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    seconds: Counter[str] = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                told = plane.event_metadata[event.metadata_id].name
                name, _, operation = told.rpartition(":")
                if name and "::" not in told and operation.isidentifier():
                    seconds[_kind(operation)] += event.duration_ps / 1e12 / EPOCHS
    return dict(seconds)


def _kind(operation: str) -> str:
    plain = operation.removeprefix("_MklNative").removeprefix("_Fused")
    for kind, beginnings in KINDS.items():
        if plain.startswith(beginnings):
            return kind
    return "others"


def measured(backbone: str, **given: int) -> tuple[float, float]:
    """Seconds, and the most MiB that this process has had."""
    if "rows" in given:
        seconds = _manifest(given["rows"])
    else:
        seconds = _folds(backbone, **given) if "folds" in given else _epoch(backbone, **given)
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _epoch(backbone: str, photos: int, classes: int, size: int, batch: int) -> float:
    import training_speed

    from ajl_tf.config import Phase

    training_speed.CLASSES = classes
    options = argparse.Namespace(backbone=backbone, size=size, batch_size=batch)
    phase = Phase(name="all", epochs=EPOCHS, unfreeze=1.0, learning_rate=1e-4)
    rows = training_speed.noise(photos, round(size * 8 / 7))
    return statistics.median(training_speed.epochs(rows, options, phase, training_speed.ALL)[1:])


def _folds(backbone: str, folds: int) -> float:
    from ajl_tf import train
    from ajl_tf.dataset.phantom import draw_set

    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        draw_set(root / "drawn", 200, 72, 0)
        (root / "it.toml").write_text(EXPERIMENT.format(folds=folds, backbone=backbone))
        places = [f"--{name}={root / name}" for name in ("runs", "splits", "cache")]
        start = time.perf_counter()
        train.main([str(root / "it.toml"), "--data", str(root / "drawn"), *places, "--no-export"])
        return time.perf_counter() - start


def _manifest(rows: int) -> float:
    from ajl_tf.dataset.manifest import labelled, read_manifest
    from ajl_tf.dataset.splits import make_split

    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        with (root / "photos.csv").open("w") as table:
            table.write("image_id,path,label,skin_tone\n")
            for row in range(rows):
                # As many lengths as photos of a phone have, so that few need be compared.
                (root / f"{row}.jpg").write_bytes(b"%d" % row + b"." * (row % 997))
                table.write(f"{row},{row}.jpg,condition {row % 21},{row % 6 + 1}\n")
        start = time.perf_counter()
        make_split(labelled(read_manifest([root / "photos.csv"])), "5 folds", 0)
        return time.perf_counter() - start


def draw(seen: dict[str, list[tuple[int, float, float]]], path: Path) -> None:
    """A column of two panels for each thing that grows: seconds, and memory."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(seen), 5), layout="constrained")
    panels = figure.subplots(2, len(seen), squeeze=False)
    for column, (what, rows) in enumerate(seen.items()):
        steps, seconds, memory = zip(*rows, strict=True)
        for panel, values, label in ((panels[0], seconds, "seconds"), (panels[1], memory, "MiB")):
            axes = panel[column]
            axes.plot(steps, values, "o-", color="black")
            axes.set_xscale("log" if steps[-1] > 100 * steps[0] else "linear")
            axes.set_xlabel(UNITS.get(what, what))
            axes.set_ylabel(label)
            axes.set_ylim(0, 1.1 * max(values))
    figure.savefig(path)


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
