"""A finished run as a part of a SavedModel: its networks, and what they say of held-out photos."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from ajl_tf.assessment.metrics import Ints
from ajl_tf.assessment.predictions import read_manifest_columns
from ajl_tf.config import Experiment
from ajl_tf.dataset.drops import dropped
from ajl_tf.dataset.views import Views
from ajl_tf.errors import UserError
from ajl_tf.models.classifier import load_classifier
from ajl_tf.runs import MANIFEST, MODEL, RESULT, fold_folders, open_run, read_json
from ajl_tf.serving.held_out import (
    HeldOut,
    observed,
    photo_canvases,
    read_held_out,
    recorded,
    seen_by,
)
from ajl_tf.serving.network import Member
from ajl_tf.serving.unlike import Known, know
from ajl_tf.training.targets import adjust_logits, logit_shift

REFIT = "refit"


@dataclass(frozen=True)
class Options:
    """What an export is asked for.

    Attributes:
        views: Of each photo, see `network.Member`; None: those that the run was scored with.
        unlike: Whether the SavedModel scores how unlike anything known a photo is.
        cache: Folder for decoded photos that exceed the run's memory limit.
        logit_adjustment: Taken off each logit, times the log of how common its condition is among
            the photos that trained, see `training.targets.adjust_logits`.
    """

    views: Views | None = None
    unlike: bool = True
    cache: Path = Path("data/.cache")
    logit_adjustment: float = 0.0

    def views_of(self, experiment: Experiment) -> Views:
        """What a run's networks are asked for."""
        return self.views or experiment.model.views

    def has_other_views(self, experiment: Experiment) -> bool:
        """Whether a run's photos were scored with other views than these."""
        return self.views_of(experiment) != experiment.model.views

    def scores_again(self, experiment: Experiment) -> bool:
        """Whether the answers are others than those that the run was scored with."""
        return bool(self.logit_adjustment) or self.has_other_views(experiment)

    def needs_photos(self, experiment: Experiment) -> bool:
        """Whether a run's photos are read."""
        return self.unlike or self.has_other_views(experiment)


@dataclass(frozen=True, eq=False)
class Source:
    """A run.

    Attributes:
        folder: The run's.
        experiment: Resolved.
        parts: Folders of the networks that are served: the refit alone, or the folds in order, or
            the run itself.
        held_out: What its networks say of photos they did not train on.
        members: The networks that are served; none before `with_networks`.
        known: What each of them knows; None where that is not asked for, or photos are too few.
        scores: (N,), of each held-out row how unlike it is; with `known`.
    """

    folder: Path
    experiment: Experiment
    parts: tuple[Path, ...]
    held_out: HeldOut
    members: tuple[Member, ...] = ()
    known: tuple[Known, ...] | None = None
    scores: np.ndarray | None = None

    @property
    def is_refit(self) -> bool:
        """Whether one network is served that was trained on all photos."""
        return self.parts[0].name == REFIT

    @cached_property
    def trained_labels(self) -> Ints:
        """Of every photo that trained one of the parts, its position in the class names."""
        manifest = read_manifest_columns(self.folder / MANIFEST)
        if "fold" in manifest:
            # What a refit held out is no fold, and so no row.
            held_by = [manifest["fold"] == part.name.removeprefix("fold_") for part in self.parts]
            trained = ~np.logical_and.reduce(held_by)
        else:
            trained = (manifest["split"] == "train").to_numpy(bool)
        labels = manifest["label"][trained & ~dropped(manifest)]
        return np.asarray(pd.Index(self.held_out.class_names).get_indexer(pd.Index(labels)))


def member_folders(run: Path) -> list[Path]:
    """Where a run's models are: the refit alone, or its folds in order, or the run itself."""
    for parts in ([run / REFIT], fold_folders(run), [run]):
        finished = [part for part in parts if (part / RESULT).is_file()]
        if finished:
            return finished
    raise UserError(f"{run} holds no trained model; the training did not get to its end")


def open_source(path: str | Path) -> Source:
    """A run without its networks yet.

    Raises:
        UserError: No run, or one without a trained model or predictions.
    """
    folder, experiment = open_run(path)
    parts = member_folders(folder)
    names = {tuple(read_json(part / RESULT)["class_names"]) for part in parts}
    if len(names) > 1:
        raise UserError(f"the members of {folder} disagree on the classes, and cannot be averaged")
    folds = [part for part in fold_folders(folder) if (part / RESULT).is_file()]
    held_out = read_held_out(folds or [folder], names.pop())
    return Source(folder, experiment, tuple(parts), held_out)


def with_networks(source: Source, canvas: int, options: Options) -> Source:
    """Loads the networks and shows them their held-out photos.

    Args:
        source: From `open_source`.
        canvas: Side of the canvas that all networks of the SavedModel share.
        options: What is asked for.

    Raises:
        UserError: A damaged model, or photos that are not where the run had them.
    """
    experiment, held_out = source.experiment, source.held_out
    members = _members(source, source.parts, canvas, options)
    if options.logit_adjustment:
        if experiment.balance.ways:
            print(
                f"warning: {source.folder.name} was trained with class weights or a class sampler; "
                "--logit-adjustment weighs rare classes once more",
                file=sys.stderr,
            )
        classes, labels = len(held_out.class_names), source.trained_labels
        shift = logit_shift(labels, classes, options.logit_adjustment)
        held_out = replace(held_out, logits=held_out.logits - shift)
    source = replace(source, members=members, held_out=held_out)
    if not options.needs_photos(experiment):
        return source
    ids = held_out.table["image_id"].tolist()
    takes = any(member.columns for member in members)
    table = recorded(source.folder, ids) if takes else pd.DataFrame(index=ids)
    canvases = photo_canvases(
        source.folder,
        ids,
        canvas,
        experiment.data.fit,
        options.cache,
        experiment.data.memory_limit_mb,
    )
    if not source.is_refit:
        held_out = observed(held_out, members, canvases, table)
    elif options.has_other_views(experiment) or canvas != experiment.canvas:
        folds = tuple(part for part in fold_folders(source.folder) if (part / RESULT).is_file())
        members = _members(source, folds, canvas, options)
        held_out = observed(held_out, members, canvases, table)
    source = replace(source, held_out=held_out)
    return _with_known(source, canvases, table) if options.unlike else source


def _with_known(source: Source, canvases: np.ndarray, table: pd.DataFrame) -> Source:
    """Learns what each network knows.

    Of a run with folds from the photos of its fold, of a run without from the validation rows. A
    refit has none that it did not train on: from all, each left out of what it is measured by.
    """
    held_out = source.held_out
    tones, clusters = held_out.tones, held_out.clusters
    features, parts = held_out.features, held_out.parts
    if source.is_refit:
        every = np.arange(len(parts))
        features = seen_by(source.members[0], canvases, every, table)[0]
        parts = np.zeros_like(parts)
    assert features is not None  # the networks have seen the photos
    scores, known = np.empty(len(parts)), []
    for number in range(len(source.members)):
        rows = (parts == number) & held_out.fits
        learned = know(features[rows], tones[rows], clusters[rows])
        if learned is None:
            return source
        known.append(learned[0])
        others = (parts == number) & ~held_out.fits
        scores[rows], scores[others] = learned[1], learned[0].unlike(features[others])
    return replace(source, known=tuple(known), scores=scores)


def _members(
    source: Source, parts: Sequence[Path], canvas: int, options: Options
) -> tuple[Member, ...]:
    size, own = source.experiment.input_size, source.experiment.canvas
    views = options.views_of(source.experiment)
    other = None if own == canvas else own
    networks = [_network(part / MODEL) for part in parts]
    if options.logit_adjustment:
        labels = source.trained_labels
        for network in networks:
            adjust_logits(network.get_layer("head"), labels, options.logit_adjustment)
    return tuple(Member(network, size, other, views) for network in networks)


def _network(path: Path) -> keras.Model:
    try:
        return load_classifier(path)
    except (OSError, ValueError, LookupError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} cannot be loaded, it is missing or damaged. Copy it again from where it was "
            f"trained, or train it again. ({reason})"
        ) from None
