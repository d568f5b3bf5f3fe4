"""From one run or several to a SavedModel: networks, weights, a temperature, what they know."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ajl_tf.assessment.predictions import read_manifest_columns
from ajl_tf.dataset.canvases import photo_states
from ajl_tf.errors import UserError
from ajl_tf.runs import MANIFEST, REPORT, read_json
from ajl_tf.serving.alarms import Unlike, fit_unlike
from ajl_tf.serving.blend import Blend, fit_blend
from ajl_tf.serving.card import model_card
from ajl_tf.serving.ensemble import aligned, held_out_scores, new_folder
from ajl_tf.serving.savedmodel import Member, save
from ajl_tf.serving.sources import Options, Source, open_source, with_networks
from ajl_tf.serving.with_metadata import make_server, served_columns

FACTS = "ajl_tf.json"


@dataclass(frozen=True)
class Exported:
    """Where an export is.

    Attributes:
        version: The SavedModel's folder.
        scores: Folder with the predictions and the report of several runs together, or of one with
            other views of a photo; None: the run's own.
    """

    version: Path
    scores: Path | None = None


def after_training(run: Path, cache: Path, states: np.ndarray | None = None) -> Options:
    """What a training asks for: everything, or without photos what can be had without.

    A merged run may come from machines whose photos are not here; and photos may have been deleted
    or changed while a network trained on what they were.

    Args:
        run: The run folder.
        cache: Folder for decoded photos.
        states: Of its photos when they were decoded, see `canvases.photo_states`; None: unknown.
    """
    paths = read_manifest_columns(run / MANIFEST)["path"].tolist()
    now = photo_states(paths)
    other = (now < 0).any(1) if states is None else (now != states).any(1) | (now < 0).any(1)
    if other.any():
        what = "not here" if states is None else "not here, or were changed while it trained"
        first = paths[int(other.argmax())]
        print(
            f"warning: {other.sum():,} of {len(paths):,} photos of the run are {what} (first: "
            f"{first}), so its SavedModel does not say how unlike anything known a photo is. Where "
            f"they are: python -m ajl_tf.export {run}",
            file=sys.stderr,
        )
    return Options(unlike=not other.any(), cache=cache)


def export_run(
    path: str | Path, saved_models: Path, runs: Path, options: Options | None = None
) -> Exported:
    """Writes `<saved_models>/<name>/<next version>/` from a finished run.

    Where it is asked for other answers than the run was scored with (other views of a photo,
    adjusted logits), its photos are scored anew, into a folder of their own.

    Args:
        path: The run folder.
        saved_models: Folder of all SavedModels.
        runs: Folder of all runs.
        options: What is asked for.

    Raises:
        UserError: No run, one without a trained model or a report, or photos that are gone.
    """
    options = options or Options()
    source = open_source(path)
    name, again = source.experiment.name, options.scores_again(source.experiment)
    report = {} if again else read_json(source.folder / REPORT)
    source = with_networks(source, source.experiment.canvas, options)
    if again:
        return _scored_anew([source], options, name, saved_models, runs)
    return Exported(_save([source], options, name, source.folder.name, report, saved_models))


def export_ensemble(
    paths: Sequence[str | Path], saved_models: Path, runs: Path, name: str, options: Options
) -> Exported:
    """Writes one SavedModel of several runs, and what they score together on held-out photos.

    Args:
        paths: Run folders, at least two.
        saved_models: Folder of all SavedModels.
        runs: Folder of all runs, in which the ensemble gets one of its own.
        name: Of the ensemble.
        options: What is asked for.

    Raises:
        UserError: As `export_run`, or runs that do not go together.
    """
    repeated = sorted({str(path) for path in paths if list(paths).count(path) > 1})
    if repeated:
        raise UserError(f"a run goes into an ensemble once. Received twice: {', '.join(repeated)}")
    sources = aligned([open_source(path) for path in paths])
    canvas = max(source.experiment.canvas for source in sources)
    canvases = {source.experiment.canvas for source in sources}
    if len(canvases) > 1 and not all(options.needs_photos(s.experiment) for s in sources):
        raise UserError(
            "runs with canvases of different sizes are shown their photos once more, from one "
            "canvas, as they will be served. Leave out --no-unlike."
        )
    sources = [with_networks(source, canvas, options) for source in sources]
    return _scored_anew(sources, options, name, saved_models, runs)


def _scored_anew(
    sources: Sequence[Source], options: Options, name: str, saved_models: Path, runs: Path
) -> Exported:
    folder = new_folder(runs, name)
    report = held_out_scores(sources, folder)
    return Exported(_save(sources, options, name, folder.name, report, saved_models), folder)


def _save(
    sources: Sequence[Source],
    options: Options,
    name: str,
    run: str,
    report: dict[str, Any],
    saved_models: Path,
) -> Path:
    first = sources[0].held_out
    fits = first.fits
    logits = [source.held_out.logits[fits] for source in sources]
    blend = fit_blend(logits, first.labels[fits], [source.held_out.words for source in sources])
    used = [i for i, weight in enumerate(blend.weights) if weight]
    served = [sources[i] for i in used]
    unlike = fit_unlike(served) if options.unlike else None
    canvas = max(source.experiment.canvas for source in sources)
    members = [member for i in used for member in _weighted(sources[i], blend.weights[i])]
    server = make_server(
        members,
        first.class_names,
        canvas,
        sources[0].experiment.data.fit,
        temperature=blend.temperature.temperature,
        unlike=unlike,
    )
    facts = {
        "class_names": list(first.class_names),
        "canvas": canvas,
        "fit": sources[0].experiment.data.fit,
        "run": run,
        "unlike": _told(unlike),
        **({"metadata": columns} if (columns := served_columns(members)) else {}),
        **_facts(sources, blend, options),
    }
    card = model_card(name, run, sources, blend, unlike, report, options)
    documents = {FACTS: json.dumps(facts, indent=1, allow_nan=False) + "\n"}
    return save(server, saved_models / name, documents, card)


def _weighted(source: Source, weight: float) -> list[Member]:
    return [replace(member, weight=weight / len(source.members)) for member in source.members]


def _facts(sources: Sequence[Source], blend: Blend, options: Options) -> dict[str, Any]:
    """Of one run as they are; of several a list, and what they have together."""
    each = [
        {
            "backbone": source.experiment.model.backbone,
            "weights": source.experiment.weights_name,
            "input_size": source.experiment.input_size,
            "views": options.views_of(source.experiment),
            "logit_adjustment": source.experiment.loss.logit_adjustment + options.logit_adjustment,
            "config_hash": source.experiment.hash,
            "members": [part.name for part in source.parts],
        }
        for source in sources
    ]
    temperature = asdict(blend.temperature)
    if len(sources) == 1:
        return {**each[0], "temperature": temperature}
    runs = [
        {"run": source.folder.name, "weight": weight, "canvas": source.experiment.canvas, **facts}
        for source, weight, facts in zip(sources, blend.weights, each, strict=True)
    ]
    return {"runs": runs, "temperature": temperature}


def _told(unlike: Unlike | None) -> dict[str, Any] | None:
    if unlike is None:
        return None
    return {
        "threshold": unlike.threshold,
        "n": unlike.n,
        "false_alarms_of": unlike.rows,
        "false_alarms": [asdict(alarms) for alarms in unlike.alarms],
    }
