"""Kills trainings at random instants with SIGKILL, goes on with them, and compares every bit.

    python tests/faults/resume_anywhere.py --instants 50

A run of two phases (cached features with plateau and averaged weights; fine-tuning with dropout,
augmentation, accumulated gradients and early stopping) in three folds is trained once to its end.
Then it is begun again, killed, gone on with, killed, …, to its end, several times over. Weights,
histories and predictions must be those of the first, and no file or folder may be left over. Not
part of `make test`: it takes minutes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np

from ajl_tf import train
from ajl_tf.dataset.phantom import draw_set
from ajl_tf.errors import run_verb
from ajl_tf.process import prepare

EXPERIMENT = """
name = "anywhere"
seed = 3
[split]
scheme = "3 folds"
[model]
backbone = "{backbone}"
weights = "none"
input_size = 32
dropout = 0.3
[augment]
horizontal_flip = true
rotation = 20.0
brightness = 0.1
cutmix = 1.0
[training]
batch_size = 16
ema = 0.9
checkpoint_minutes = 0.004
[[phases]]
name = "feature_extraction"
epochs = 6
augment = false
learning_rate = 3e-2
schedule = "plateau"
plateau_patience = 1
[[phases]]
name = "fine_tuning"
epochs = 8
unfreeze = 1.0
learning_rate = 3e-3
weight_decay = 1e-2
accumulate = 2
early_stopping = 3
"""


def main() -> int:
    """Prints a line for each kill and each comparison; 1 where something differs."""
    options = _options()
    _import()
    rng = random.Random(options.seed)
    differ = kills = runs = 0
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        draw_set(root / "drawn", 100, 48, 0)
        (root / "anywhere.toml").write_text(EXPERIMENT.format(backbone=options.backbone))
        whole = root / "whole"
        seconds = _train(root, whole, None, None)
        assert seconds is not None
        print(f"to its end: {seconds:.0f} s", flush=True)
        while kills < options.instants:
            runs += 1
            folder, run = root / str(runs), None
            for _ in range(options.chain):
                instant = rng.uniform(0, seconds)
                if _train(root, folder, run, instant) is not None:
                    break
                kills += 1
                (run,) = (folder / "runs").iterdir()
                print(f"  killed after {instant:.2f} s, {_place(run)}", flush=True)
            else:
                _train(root, folder, run, None)
            found = list(_differences(whole, folder))
            differ += bool(found)
            print(f"run {runs}: {'; '.join(found) or 'the same to the bit'}", flush=True)
    print(f"{kills} kills in {runs} runs, {differ} runs differ")
    return int(differ > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--instants", type=int, default=5, help="how many kills, at least")
    parser.add_argument("--chain", type=int, default=5, help="of one run, at most")
    parser.add_argument("--backbone", default="tiny", help="tiny, or one of the zoo")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _import() -> None:
    """Imports all that a training needs, so that a fork has it at once."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    prepare()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    for module in ("training.resuming", "serving.export", "reporting.publish", "inspection.leaks"):
        import_module(f"ajl_tf.{module}")
    import_module("conftest").add_tiny_backbone(
        import_module("ajl_tf.models.zoo").BACKBONES.__setitem__
    )


def _train(root: Path, folder: Path, run: Path | None, kill_after: float | None) -> float | None:
    """Trains, or goes on with `run`; the seconds it took from its first line on, None if killed."""
    places = [f"--{name}={folder / name}" for name in ("runs", "saved-models", "cache")]
    arguments = ["--resume", str(run)]
    if run is None:
        data = ["--data", str(root / "drawn"), f"--splits={root / 'splits'}"]
        arguments = [str(root / "anywhere.toml"), *data, *places]
    log = root / "log"
    log.write_text("")
    # The libraries are imported, and none of their threads is running yet.
    child = os.fork()
    if not child:
        _become_the_verb(arguments, log)
    while not (status := os.waitpid(child, os.WNOHANG))[0] and "\nrun: " not in log.read_text():
        time.sleep(0.005)
    start = time.monotonic()
    while not status[0] and (kill_after is None or time.monotonic() < start + kill_after):
        time.sleep(0.001 if kill_after is not None else 0.1)
        status = os.waitpid(child, os.WNOHANG)
    if not status[0]:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status[1]) == -signal.SIGKILL:
        return None
    if status[1]:
        raise SystemExit(log.read_text())
    return time.monotonic() - start


def _become_the_verb(arguments: list[str], log: Path) -> NoReturn:
    code = 1
    try:
        out = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        print()
        code = run_verb(train.main, arguments)
        sys.stdout.flush()
    finally:
        os._exit(code)


def _place(run: Path) -> str:
    """How far the run was."""
    epochs = {p.parent.name: len(p.read_text().splitlines()) for p in run.rglob("history.jsonl")}
    done = [path.parent.name for path in run.rglob("result.json")]
    left = [path.name for path in run.rglob(".*") if path.is_file()]
    return f"epochs {epochs}, finished {done}" + (f", while writing {left}" if left else "")


def _differences(whole: Path, other: Path) -> Iterator[str]:
    (first,), (second,) = (list((folder / "runs").iterdir()) for folder in (whole, other))
    models = sorted(path.relative_to(first) for path in first.rglob("model.keras"))
    assert len(models) == 3
    for name in models:
        one, two = _weights(first / name), _weights(second / name)
        if one.keys() != two.keys() or any(not np.array_equal(one[k], two[k]) for k in one):
            yield f"{name} differs"
    for path in sorted(first.rglob("predictions.csv")):
        name = path.relative_to(first)
        if path.read_bytes() != (second / name).read_bytes():
            yield f"{name} differs"
    for path in sorted(first.rglob("history.jsonl")):
        name = path.relative_to(first)
        if _history(path) != _history(second / name):
            yield f"{name} differs"
    expected, found = _everything(whole), _everything(other)
    if left := sorted(found - expected):
        yield f"left behind: {left}"
    if missing := sorted(expected - found):
        yield f"missing: {missing}"


def _everything(folder: Path) -> set[str]:
    """What is in a run, its SavedModels and its cache; TensorBoard's files have names of a time."""
    (run,) = (folder / "runs").iterdir()
    return {
        str(path.relative_to(folder)).replace(run.name, "RUN")
        for path in folder.rglob("*")
        if "events." not in path.name
    }


def _weights(model: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def keep(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = node[()]

    with zipfile.ZipFile(model) as archive:
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))).visititems(keep)
    return found


def _history(path: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
        for line in lines
    ]


if __name__ == "__main__":
    raise SystemExit(main())
