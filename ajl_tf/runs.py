"""The run folder: all that one training was made of and made, in one place, never replaced."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from ajl_tf import __version__
from ajl_tf.config import Experiment
from ajl_tf.config_file import load_experiment, to_toml
from ajl_tf.dataset.drops import REASON, dropped
from ajl_tf.errors import UserError
from ajl_tf.files import write_text

CONFIG, ENVIRONMENT, MANIFEST = "config.toml", "environment.json", "manifest.csv"
PREDICTIONS, REPORT, MODEL = "predictions.csv", "report.json", "model.keras"
HISTORY, RESULT = "history.jsonl", "result.json"
PHOTO_ONLY = "predictions_photo_only.csv"  # of a run with metadata, by the photo alone
DROPPED, LEAKS = "dropped.csv", "leaks.csv"
JOB, LOCK = "job.json", "lock"
_PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "pillow")


def create_run(experiment: Experiment, runs: Path, command: Sequence[str]) -> Path:
    """Makes `<runs>/<name>-<time>-<config hash>/` with the resolved config and the environment.

    Args:
        experiment: Resolved.
        runs: Folder of all runs; made if missing.
        command: What was run, for the record: it may be published with the scores.

    Returns:
        The new folder. Two runs started in one second get different ones.
    """
    runs.mkdir(parents=True, exist_ok=True)
    base = f"{experiment.name}-{time.strftime('%Y%m%d-%H%M%S')}-{experiment.hash}"
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        folder = runs / (base + suffix)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        write_text(folder / CONFIG, to_toml(experiment))
        write_json(folder / ENVIRONMENT, environment(command))
        return folder
    raise UserError(f"{runs} already holds a thousand runs named {base}")


def environment(command: Sequence[str]) -> dict[str, Any]:
    """Versions, machine, devices and commit that a result depends on."""
    import tensorflow as tf

    devices = [
        {"type": device.device_type, **tf.config.experimental.get_device_details(device)}
        for device in tf.config.list_physical_devices()
    ]
    return {
        "command": list(command),
        "ajl_tf": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "devices": [{key: str(value) for key, value in device.items()} for device in devices],
    }


def record_manifest(folder: Path, manifest: pd.DataFrame) -> int:
    """Writes the manifest as used, and each photo that it drops with the reason.

    Returns:
        How many are dropped. `dropped.csv` is there only if some are.
    """
    write_text(folder / MANIFEST, manifest.to_csv(index=False))
    gone = manifest[dropped(manifest)]
    if len(gone):
        reasons = gone[["image_id", REASON]].rename(columns={REASON: "reason"})
        write_text(folder / DROPPED, reasons.to_csv(index=False))
    return len(gone)


def manifest_hash(manifest: pd.DataFrame) -> str:
    """16 hexadecimal digits over every column but `path`, in order of `image_id`."""
    columns = sorted(set(manifest.columns) - {"path"})
    text = manifest.sort_values("image_id")[columns].to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_run(path: str | Path) -> tuple[Path, Experiment]:
    """A run's folder and its resolved experiment.

    Raises:
        UserError: It is no run folder.
    """
    folder = Path(path)
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder} is no run: it has no {CONFIG}. Runs are the folders under experiments/runs/."
        )
    return folder, load_experiment(folder / CONFIG)


def fold_folders(run: Path) -> list[Path]:
    """The folders `fold_<number>` of a run, in order; a copy such as `fold_0.bak` is none."""
    numbers = {path: re.fullmatch(r"fold_(\d+)", path.name) for path in run.glob("fold_*")}
    found = [(int(match[1]), path) for path, match in numbers.items() if match and path.is_dir()]
    return [path for _, path in sorted(found)]


def write_json(path: Path, values: Any) -> None:
    """Writes indented JSON atomically; NaN is refused rather than written."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file of a run."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; the run did not get that far.") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged: {error}.") from None


def _commit() -> str | None:
    """Commit of the source tree, with `-dirty` where it was changed; None outside one."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or sys.platform
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
