"""From a run to a SavedModel: its refit if there is one, else the average of its members."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

import keras

from ajl_tf.config import Experiment
from ajl_tf.errors import UserError
from ajl_tf.models.classifier import load_classifier
from ajl_tf.runs import MODEL, REPORT, RESULT, open_run, read_json
from ajl_tf.serving.card import model_card
from ajl_tf.serving.savedmodel import Member, Server, save

CARD, FACTS = "model_card.md", "ajl_tf.json"


def export_run(path: str | Path, saved_models: Path) -> Path:
    """Writes `<saved_models>/<name>/<next version>/` from a finished run.

    Args:
        path: The run folder.
        saved_models: Folder of all SavedModels.

    Returns:
        The version's folder.

    Raises:
        UserError: No run, or one without a trained model or a report.
    """
    folder, experiment = open_run(path)
    parts = member_folders(folder)
    names = {tuple(read_json(part / RESULT)["class_names"]) for part in parts}
    if len(names) > 1:
        raise UserError(f"the members of {folder} disagree on the classes, and cannot be averaged")
    class_names = names.pop()
    members = [Member(_network(part / MODEL), experiment.input_size) for part in parts]
    server = Server(members, class_names, experiment.canvas, experiment.data.fit)
    report = read_json(folder / REPORT)
    facts = _facts(experiment, class_names, folder.name, [part.name for part in parts])
    documents = {
        CARD: model_card(experiment, report, folder.name, len(parts)),
        FACTS: json.dumps(facts, indent=1) + "\n",
    }
    return save(server, saved_models / experiment.name, documents)


def member_folders(run: Path) -> list[Path]:
    """Where a run's models are: the refit alone, or its folds in order, or the run itself."""
    folds = [p for p in run.glob("fold_*") if p.is_dir()]
    ordered = sorted(folds, key=lambda p: int(p.name.removeprefix("fold_")))
    for parts in ([run / "refit"], ordered, [run]):
        finished = [part for part in parts if (part / RESULT).is_file()]
        if finished:
            return finished
    raise UserError(f"{run} holds no trained model; the training did not get to its end")


def _network(path: Path) -> keras.Model:
    try:
        return load_classifier(path)
    except (OSError, ValueError, LookupError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} cannot be loaded, it is missing or damaged. Copy it again from where it was "
            f"trained, or train it again. ({reason})"
        ) from None


def _facts(
    experiment: Experiment, class_names: tuple[str, ...], run: str, parts: list[str]
) -> dict[str, object]:
    return {
        "class_names": list(class_names),
        "backbone": experiment.model.backbone,
        "weights": experiment.model.weights,
        "input_size": experiment.input_size,
        "canvas": experiment.canvas,
        "fit": experiment.data.fit,
        "run": run,
        "config_hash": experiment.hash,
        "members": parts,
    }
