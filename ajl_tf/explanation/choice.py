"""Which photos are explained, and by which network of a run: one that did not train on them."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ajl_tf.assessment.predictions import read_manifest_columns, read_predictions
from ajl_tf.dataset.drops import dropped
from ajl_tf.dataset.listing import PHOTO_SUFFIXES, photos_to_predict
from ajl_tf.dataset.manifest import read_manifest
from ajl_tf.errors import UserError, listed
from ajl_tf.runs import MANIFEST, MODEL, PREDICTIONS, RESULT, fold_folders
from ajl_tf.training.keyed import photo_keys

REFIT, HOLDOUT, AVERAGE = "refit", "holdout", "all folds"
_SHOWN = 20
_KNOWN = " known"  # no column of a CSV is so named: names are stripped


@dataclass(frozen=True)
class Wanted:
    """What the user asked for.

    Attributes:
        photos: Files, folders or CSVs; empty: the photos that the run held out.
        split: Only this part of a run with a split.
        fold: Only this fold of a run with folds.
        misclassified: Only photos that the run's predictions get wrong.
        limit: At most so many.
        data: Where the run's photos are, if they are no longer where they were.
    """

    photos: tuple[Path, ...] = ()
    split: str | None = None
    fold: int | None = None
    misclassified: bool = False
    limit: int | None = None
    data: tuple[Path, ...] = ()


def finished_members(run: Path) -> dict[str, Path]:
    """Name -> folder of a run's trained networks: `fold_0`, …, `refit`, or `holdout`.

    Raises:
        UserError: There is none.
    """
    folders = {HOLDOUT: run, REFIT: run / REFIT}
    folders |= {folder.name: folder for folder in fold_folders(run)}
    finished = {name: f for name, f in folders.items() if (f / RESULT).is_file()}
    if not finished:
        raise UserError(f"{run} holds no trained model; the training did not get to its end.")
    lost = [str(folder / MODEL) for folder in finished.values() if not (folder / MODEL).is_file()]
    if lost:
        raise UserError(f"{run} lacks models that its results are of:\n{listed(lost)}")
    return finished


def choose_photos(run: Path, wanted: Wanted) -> pd.DataFrame:
    """The photos to explain, each with the network that explains it.

    A photo of the run's manifest is explained by the network that held it out: its fold's, or the
    holdout's. A photo that the run has never seen is explained by the refit, or the holdout's, or
    all folds averaged, as `export` would answer for it.

    Returns:
        `image_id, path, label` (NA where unknown), `skin_tone` (-1: unknown), `group_id`, `member`
        (a name of `finished_members`, or `AVERAGE`) and `trained_on` (whether that network trained
        on it: True or False, NA of a photo that the run does not know).

    Raises:
        UserError: Options that contradict each other or the run, photos that are not there.
    """
    members = finished_members(run)
    manifest = _known(run / MANIFEST)
    if wanted.photos:
        if wanted.split or wanted.fold is not None or wanted.misclassified:
            raise UserError(
                "name photos, or choose among the run's with --split, --fold, --misclassified; "
                "not both."
            )
        rows = _named(wanted.photos, manifest)
    else:
        rows = _held_out(run, members, manifest, wanted)
    if wanted.limit is not None:
        rows = rows.head(wanted.limit)
    rows = _located(_with_members(rows, members), wanted.data)
    return rows.reset_index(drop=True)


def _known(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"{path} is missing, so it is not known which photos the run trained on.")
    table = read_manifest_columns(path)
    table["skin_tone"] = pd.to_numeric(table["skin_tone"]).fillna(-1).astype(np.int64)
    table["trains"] = True
    if "split" in table:
        table["trains"] = (table["split"] == "train") & ~dropped(table)
    return table


def _held_out(
    run: Path, members: dict[str, Path], manifest: pd.DataFrame, wanted: Wanted
) -> pd.DataFrame:
    """Rows of the manifest that were predicted by a network that did not train on them."""
    parts = [f / PREDICTIONS for name, f in members.items() if name != REFIT]
    tables = [read_predictions(path) for path in parts if path.is_file()]
    if not tables:
        raise UserError(f"{run} has no predictions; name the photos to be explained.")
    found = pd.concat(tables, ignore_index=True)
    for column, value in (("split", wanted.split), ("fold", wanted.fold)):
        if value is None:
            continue
        if column not in found:
            has = "folds: choose with --fold" if column == "split" else "a split: use --split"
            raise UserError(f"--{column} {value} does not fit: this run has {has}.")
        known = sorted(found[column].dropna().unique())
        found = found[found[column] == value]
        if found.empty:
            raise UserError(
                f"--{column} {value}: the run predicted no photo of it. It has "
                f"{', '.join(map(str, known))}."
            )
    if wanted.misclassified:
        found = found[found["label"] != found["predicted"]]
        if found.empty:
            raise UserError("none of these photos is misclassified.")
        probabilities = found[[c for c in found if str(c).startswith("prob_")]].to_numpy(np.float64)
        order = np.argsort(-probabilities.max(axis=1, initial=0), kind="stable")
    else:
        order = np.argsort(photo_keys(found["image_id"]))  # a limit takes any, always the same
    ids = found["image_id"].iloc[order]
    lost = sorted(set(ids) - set(manifest["image_id"]))
    if lost:
        raise UserError(f"predicted photos are not in the run's manifest:\n{listed(lost)}")
    return manifest.set_index("image_id").loc[ids].reset_index()


def _named(photos: Sequence[Path], manifest: pd.DataFrame) -> pd.DataFrame:
    """The named photos; one of the run's under its image_id, with what the manifest says of it."""
    tables = []
    for source in photos:
        if source.is_file() and source.suffix.lower() in PHOTO_SUFFIXES:
            absolute = source.expanduser().absolute()
            tables.append(pd.DataFrame({"image_id": [source.stem], "path": [str(absolute)]}))
        else:
            tables.append(photos_to_predict(source))
    rows = _as_known(pd.concat(tables, ignore_index=True), manifest)
    twice = rows["image_id"][rows["image_id"].duplicated()].unique()
    if len(twice):
        raise UserError(f"photos are named twice:\n{listed(sorted(twice))}")
    known = manifest.drop(columns="path").set_index("image_id")
    told = known.reindex(rows["image_id"].where(rows.pop(_KNOWN)))
    for name in told:
        theirs = told[name].reset_index(drop=True)
        own = rows[name] if name in rows else pd.Series(pd.NA, index=rows.index)
        rows[name] = theirs.where(theirs.notna(), own)
    rows["skin_tone"] = pd.to_numeric(rows["skin_tone"]).fillna(-1).astype(np.int64)
    rows["group_id"] = rows["group_id"].fillna(rows["image_id"])
    return rows


def _as_known(rows: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Photos with whether the run knows them, by content; those that it does under its image_id.

    Where the run's photo of a name is gone, the name counts: it may have been moved. Else it does
    not, for names such as 1.jpg are common.
    """
    recorded = dict(zip(manifest["image_id"], manifest["path"], strict=True))
    of_size: defaultdict[int, list[str]] = defaultdict(list)
    for image_id, path in recorded.items():
        with suppress(OSError):
            of_size[Path(path).stat().st_size].append(image_id)
    here = set().union(*of_size.values())
    ids, known = [], []
    for image_id, path in zip(rows["image_id"], rows["path"], strict=True):
        size = Path(path).stat().st_size if Path(path).is_file() else -1
        alike = [one for one in of_size[size] if filecmp.cmp(path, recorded[one], shallow=False)]
        if image_id not in alike and alike:
            image_id = alike[0]
        ids.append(image_id)
        known.append(bool(alike) or (image_id in recorded and image_id not in here))
    return rows.assign(image_id=ids, **{_KNOWN: known})


def _with_members(rows: pd.DataFrame, members: dict[str, Path]) -> pd.DataFrame:
    known = rows["trains"].notna().to_numpy(bool)
    folds = [name for name in members if name.startswith("fold_")]
    stranger = next((name for name in (REFIT, HOLDOUT) if name in members), None)
    if stranger is None:
        stranger = AVERAGE if len(folds) > 1 else folds[0]
    names = np.full(len(rows), stranger, object)
    trained: np.ndarray = np.full(len(rows), pd.NA, object)
    if "fold" in rows and folds:
        names[known] = [f"fold_{int(fold)}" for fold in rows["fold"][known]]
        trained[known] = False
    else:
        trained[known] = rows["trains"][known].astype(bool)
    lacking = sorted({f"photos of {name}" for name in names[known] if name not in members})
    if lacking:
        raise UserError(
            f"the run has no network that did not train on these:\n{listed(lacking)}\n"
            f"It has {', '.join(members)}. Choose with --fold."
        )
    return rows.assign(member=names, trained_on=trained)


def _located(rows: pd.DataFrame, data: Sequence[Path]) -> pd.DataFrame:
    if data:
        places = read_manifest(data, labels=False).set_index("image_id")["path"]
        rows = rows.assign(path=rows["image_id"].map(places).fillna(rows["path"]))
    absent = [path for path in rows["path"] if not Path(path).is_file()]
    if absent:
        raise UserError(
            f"{len(absent)} of {len(rows)} photos are not where they were:\n"
            f"{listed(absent, _SHOWN)}\nSay with --data where they are now."
        )
    columns = ["image_id", "path", "label", "skin_tone", "group_id", "member", "trained_on"]
    return rows.reindex(columns=columns)
