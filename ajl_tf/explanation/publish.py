"""Explains and audits all photos of a subject, draws them and collects the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.errors import UserError
from ajl_tf.explanation.explaining import (
    Explained,
    Subject,
    class_names,
    explain_photos,
    inputs,
    networks,
)
from ajl_tf.explanation.overlay import heat, panels
from ajl_tf.explanation.tone_audit import LEAST_CONFIDENCE, audit_photos
from ajl_tf.explanation.tone_probe import probe
from ajl_tf.files import atomic_path, photo_file
from ajl_tf.progress import ProgressLine

_AT_ONCE = 256  # photos
_TITLES = {"attention": "attention, whatever the condition"}  # of a panel, if not the method's name


def explain_all(
    run: Path, input_size: int, subject: Subject, methods: Sequence[str], overlays: Path
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Explains every photo and draws `<overlays>/<image_id>.png`, see `files.photo_file`.

    Returns:
        The photos' records, in the order of the subject's rows, and method (and `random`) ->
        curves `(N, 2, STEPS + 1)`.
    """
    names = class_names(run)
    line = ProgressLine(len(subject.rows), "explaining")
    found: dict[int, tuple[dict[str, Any], dict[str, np.ndarray]]] = {}
    for positions, network in networks(run, input_size, subject.rows):
        for explained in explain_photos(network, subject, positions, names, methods):
            _draw(explained, overlays)
            found[explained.row] = explained.record, explained.curves
            line.update(len(found))
    line.close(len(found))
    ordered = [found[row] for row in range(len(found))]
    curves = {name: np.stack([each[name] for _, each in ordered]) for name in ordered[0][1]}
    return [record for record, _ in ordered], curves


def guess_tones(run: Path, input_size: int, subject: Subject) -> pd.DataFrame:
    """Probes the features of every photo of known tone that its network did not train on.

    Returns:
        A row a photo, as `tone_probe.summarise_probe` takes them.

    Raises:
        UserError: There are too few such photos.
    """
    rows = subject.rows
    fits = (rows["trained_on"] == False) & (rows["skin_tone"] > 0) & rows["label"].notna()  # noqa: E712 (NA too)
    tables = []
    for positions, network in networks(run, input_size, rows):
        chosen = positions[fits.to_numpy(bool)[positions]]
        if len(chosen):
            own = rows.iloc[chosen]
            features = np.concatenate(
                [
                    network.features(inputs(subject.canvases[chosen[start:end]], input_size))
                    for start, end in blocks(len(chosen))
                ]
            )
            conditions = pd.get_dummies(own["label"]).to_numpy(np.float64)
            both = {"features": probe(features, own), "condition": probe(conditions, own)}
            tables.append(own[["image_id", "skin_tone", "group_id"]].assign(**both))
    if not tables:
        raise UserError(
            "the tone probe needs photos of known tone and condition that the network did not "
            "train on; there is none among these."
        )
    guessed: pd.DataFrame = pd.concat(tables, ignore_index=True)
    return guessed


def audit_all(
    run: Path, input_size: int, subject: Subject, pictures: Path, examples: int
) -> pd.DataFrame:
    """Audits every photo's tone; draws the first ones as `<pictures>/<image_id>.png`.

    Returns:
        A row a photo and shift, see `tone_audit.audit_photos`, with the names of the conditions.

    Raises:
        UserError: No photo's tone can be measured.
    """
    names = class_names(run)
    line = ProgressLine(len(subject.rows), "shifting tones")
    tables: dict[int, list[dict[str, Any]]] = {}
    done = 0
    for positions, network in networks(run, input_size, subject.rows):
        for row, (rows, canvases) in zip(
            positions, audit_photos(network, subject, positions), strict=True
        ):
            for shift in rows:
                shift["predicted"] = names[shift["predicted"]]
                shift["predicted_after"] = names[shift["predicted_after"]]
            if rows and len(tables) < examples:
                after = ["", *(shift["predicted_after"] for shift in rows)]
                titles = [
                    (f"{title}: {said}" if said else title, canvas)
                    for (title, canvas), said in zip(canvases, after, strict=True)
                ]
                heading = [f"{rows[0]['image_id']}: predicted {rows[0]['predicted']}"]
                _save(panels(titles, heading), photo_file(pictures, rows[0]["image_id"]))
            if rows:
                tables[int(row)] = rows
            done += 1
            line.update(done)
    line.close(done)
    if not tables:
        raise UserError(
            f"in none of the {len(subject.rows):,} photos the skin's tone could be measured with a "
            f"confidence of {LEAST_CONFIDENCE:g}, so there is nothing to audit."
        )
    return pd.DataFrame([shift for row in sorted(tables) for shift in tables[row]])


def blocks(count: int) -> Iterator[tuple[int, int]]:
    """Beginnings and ends of parts of `count` rows, so few that their photos fit into memory."""
    return ((start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE))


def _draw(explained: Explained, overlays: Path) -> None:
    record = explained.record
    pictures = [("photo", explained.image)]
    pictures += [
        (_TITLES.get(name, name), heat(explained.image, each))
        for name, each in explained.maps.items()
    ]
    trained = {True: "which TRAINED ON IT", False: "which held it out", None: "unknown to the run"}
    heading = [
        f"label {record['label'] or 'unknown'}, predicted {record['predicted']} "
        f"({record['probability']:.2f})",
        f"{record['image_id']}, by {record['explained_by']}, {trained[record['trained_on']]}. "
        f"Green speaks for {record['predicted']}, violet against it.",
    ]
    _save(panels(pictures, heading, explained.mask), photo_file(overlays, record["image_id"]))


def _save(picture: Any, path: Path) -> None:
    with atomic_path(path, overwrite=False) as temporary:
        picture.save(temporary, "PNG")
