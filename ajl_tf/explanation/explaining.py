"""Explains photos one by one: maps, how faithful they are, how much of them is on the lesion."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ajl_tf.config import Experiment
from ajl_tf.dataset.canvases import load_canvases
from ajl_tf.dataset.images import to_input
from ajl_tf.errors import UserError
from ajl_tf.explanation.baselines import blurred, random_maps
from ajl_tf.explanation.choice import AVERAGE, Wanted, choose_photos, finished_members
from ajl_tf.explanation.faithfulness import GAMES, area, curves, share_inside
from ajl_tf.explanation.masks import read_masks, resized
from ajl_tf.explanation.methods import METHODS
from ajl_tf.explanation.network import Network
from ajl_tf.models.classifier import load_classifier
from ajl_tf.models.metadata import photo_only
from ajl_tf.runs import MODEL, RESULT, read_json

RANDOM = "random"


@dataclass(frozen=True, eq=False)
class Subject:
    """The photos to explain.

    Attributes:
        rows: As `choice.choose_photos` returns them, N.
        canvases: uint8 `(N, C, C, 3)`.
        masks: As `masks.read_masks` returns them, or None.
    """

    rows: pd.DataFrame
    canvases: np.ndarray
    masks: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Explained:
    """One photo's explanation.

    Attributes:
        row: Position in the subject's rows.
        image: float32 `(S, S, 3)`, what the network sees.
        mask: bool `(S, S)`, or None.
        maps: Method -> `(S, S)`.
        curves: Method, and `random` -> `(2, STEPS + 1)`: deletion and insertion.
        record: JSON-able: every number of the photo.
    """

    row: int
    image: np.ndarray
    mask: np.ndarray | None
    maps: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]
    record: dict[str, Any]


def read_subject(
    run: Path, experiment: Experiment, wanted: Wanted, masks: Path | None = None
) -> Subject:
    """Chooses photos, see `choice.choose_photos`, and reads them and their masks.

    Args:
        run: A run's folder.
        experiment: The run's.
        wanted: Which photos.
        masks: A folder, as `masks.read_masks` takes it.

    Raises:
        UserError: As both do.
    """
    rows = choose_photos(run, wanted)
    paths, data = rows["path"].tolist(), experiment.data
    canvases = load_canvases(
        paths,
        experiment.canvas,
        data.fit,
        cache=Path("data/.cache"),
        memory_limit_mb=data.memory_limit_mb,
    )
    if masks is None:
        return Subject(rows, canvases)
    ids = rows["image_id"].tolist()
    return Subject(rows, canvases, read_masks(masks, ids, paths, experiment.canvas, data.fit))


def networks(
    run: Path, input_size: int, rows: pd.DataFrame
) -> Iterator[tuple[np.ndarray, Network]]:
    """Yields each network that is needed and the positions of its photos; one is loaded at once.

    One that takes metadata is seen as it answers by the photo alone; what the photo adds to a logit
    is the same with them.

    Raises:
        UserError: A model is damaged.
    """
    members = finished_members(run)
    for name, chosen in rows.groupby("member", sort=True):
        keras.backend.clear_session()
        folders = members.values() if name == AVERAGE else [members[str(name)]]
        models = [_loaded(folder / MODEL) for folder in folders]
        yield chosen.index.to_numpy(), Network(models, input_size)


def class_names(run: Path) -> list[str]:
    """The conditions of a run, in the order of its logits."""
    folder = next(iter(finished_members(run).values()))
    names: list[str] = read_json(folder / RESULT)["class_names"]
    return names


def explain_photos(
    network: Network,
    subject: Subject,
    positions: np.ndarray,
    names: Sequence[str],
    methods: Sequence[str],
) -> Iterator[Explained]:
    """Explains some of the photos, each for the class that the network predicts.

    Args:
        network: Answers for these photos.
        subject: All photos.
        positions: Which of them.
        names: The classes, in the order of the logits.
        methods: Keys of `METHODS`.
    """
    size = network.input_size
    for row in positions:
        told = subject.rows.iloc[row]
        image = inputs(subject.canvases[row : row + 1], size)
        probabilities = network.probabilities(image)[0]
        label = int(probabilities.argmax())
        maps = {m: METHODS[m](network, image, np.array([label]))[0] for m in methods}
        chance = random_maps([told["image_id"]], size)
        stacked = np.concatenate([np.stack(list(maps.values())), chance])
        mask = None if subject.masks is None else resized(subject.masks[row : row + 1], size)[0]
        found = curves(network, image[0], label, stacked, seed=int(row))
        both = dict(zip((*methods, RANDOM), found, strict=True))
        record = {
            "image_id": told["image_id"],
            "label": None if pd.isna(told["label"]) else told["label"],
            "predicted": names[label],
            "probability": number(probabilities[label]),
            "probability_blurred": number(network.probability(blurred(image), label)[0]),
            "skin_tone": int(told["skin_tone"]),
            "group_id": told["group_id"],
            "explained_by": told["member"],
            "trained_on": None if pd.isna(told["trained_on"]) else bool(told["trained_on"]),
            "mask_share": None if mask is None else number(mask.mean()),
            "methods": {
                name: _figures(attribution, both[name], mask)
                for name, attribution in zip(both, stacked, strict=True)
            },
        }
        yield Explained(int(row), image[0], mask, maps, both, record)


def inputs(canvases: np.ndarray, size: int) -> np.ndarray:
    """What the network sees of uint8 canvases: float32 `(N, size, size, 3)`."""
    images: np.ndarray = to_input(tf.constant(canvases), size).numpy()
    return images


def number(value: Any) -> float | None:
    """Six decimals; None where there is no number."""
    return None if math.isnan(value) else round(float(value), 6)


def _figures(
    attribution: np.ndarray, curve: np.ndarray, mask: np.ndarray | None
) -> dict[str, float | None]:
    inside = math.nan if mask is None else share_inside(attribution, mask)
    return {
        "sum": number(attribution.sum()),
        **{game: number(value) for game, value in zip(GAMES, area(curve), strict=True)},
        "inside_mask": number(inside),
    }


def _loaded(path: Path) -> keras.Model:
    try:
        model = photo_only(load_classifier(path))
    except (OSError, ValueError, LookupError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be loaded; copy or train it again. ({reason})") from None
    model.trainable = False  # so that `Network` may fold its normalisations
    return model
