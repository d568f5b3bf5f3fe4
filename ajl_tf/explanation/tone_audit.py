"""The counterfactual tone audit: does the prediction change when only the skin's tone does?

Each photo's skin is moved along the ITA axis (`inspection.tone_shift`), to darker and to lighter,
and beside it by as large a colour change in four directions that are no tone: more and less red,
away from and towards the neutral point around which ITA turns. Any change of colour flips some
predictions, so only flips beyond the sham's say that tone matters. No photo is moved beyond the
tones that skin has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pandas as pd

from ajl_tf.explanation.explaining import Subject, inputs, number
from ajl_tf.explanation.masks import resized
from ajl_tf.explanation.network import Network
from ajl_tf.inspection.colour import Bools, Floats, Pixels, to_lab
from ajl_tf.inspection.tone import measure_tone, typology_angle
from ajl_tf.inspection.tone_shift import (
    SkinRegion,
    sham_offsets,
    shifted,
    skin_region,
    tone_offset,
)

SIZES = (20.0, 40.0)  # degrees: about one class of tone, and two
LIMITS = (-65.0, 70.0)  # ITA that skin has
LEAST_CONFIDENCE = 0.25  # of the measured ITA; below it, it is not known what would be moved
TONE, SHAM, SHAMS = "tone", "sham", ("redder", "outward", "greener", "inward")
_FEWEST = 10  # pixels of lesion and of skin for a contrast


def audit_photos(
    network: Network, subject: Subject, positions: np.ndarray
) -> Iterator[tuple[list[dict[str, Any]], list[tuple[str, Pixels]]]]:
    """Audits some of the photos.

    Yields:
        Of each photo, its table, a row for each shift (none where its tone cannot be measured), and
        the name and canvas of each, the first being the photo itself.
    """
    for row in positions:
        canvas = np.ascontiguousarray(subject.canvases[row])
        before = measure_tone(canvas)
        region = skin_region(canvas)
        if region is None or before["ita_confidence"] < LEAST_CONFIDENCE:
            yield [], []
            continue
        shifts = list(_shifts(region))
        canvases = [canvas, *(shifted(canvas, region, offset) for *_, offset in shifts)]
        answers = network.probabilities(inputs(np.stack(canvases), network.input_size))
        original = int(answers[0].argmax())
        mask = None
        if subject.masks is not None:
            mask = resized(subject.masks[row : row + 1], canvas.shape[0])[0]
        told = subject.rows.iloc[row]
        table = [
            {
                "image_id": told["image_id"],
                "skin_tone": int(told["skin_tone"]),
                "group_id": told["group_id"],
                "kind": kind,
                "direction": direction,
                "degrees": degrees,
                "ita": number(before["ita"]),
                "ita_after": number(measure_tone(changed)["ita"]),
                "colour_change": number(_colour_change(canvas, changed, region)),
                "predicted": original,
                "predicted_after": int(answer.argmax()),
                "flipped": int(answer.argmax() != original),
                "probability": number(answers[0, original]),
                "probability_after": number(answer[original]),
                **_contrasts(canvas, changed, region, mask),
            }
            for (kind, direction, degrees, _), changed, answer in zip(
                shifts, canvases[1:], answers[1:], strict=True
            )
        ]
        titles = [f"{direction} {size:g}°" for _, direction, size, _ in shifts]
        yield table, list(zip(["the photo", *titles], canvases, strict=True))


def per_photo(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each photo and size: the share of its tone shifts and of its shams that flip it.

    Returns:
        `image_id, skin_tone, group_id, size, tone, sham, excess, darker, lighter`; the last two are
        NaN where the photo was not moved that way.
    """
    keys = ["image_id", "skin_tone", "group_id", "degrees"]
    flips = table.groupby([*keys, "kind"], sort=False)["flipped"].mean().unstack("kind")
    ways = table[table["kind"] == TONE].pivot(index=keys, columns="direction", values="flipped")
    both = flips.join(ways).reset_index().rename(columns={"degrees": "size"})
    both = both.reindex(columns=["image_id", *keys[1:3], "size", TONE, SHAM, "darker", "lighter"])
    return both.assign(excess=both[TONE] - both[SHAM])


def _shifts(region: SkinRegion) -> Iterator[tuple[str, str, float, Floats]]:
    """Kind, direction, size in degrees and CIELAB vector of each change of a photo."""
    ita = float(typology_angle(region.colour))
    for size in SIZES:
        ways = {"darker": -size, "lighter": size}
        possible = {
            way: degrees for way, degrees in ways.items() if LIMITS[0] <= ita + degrees <= LIMITS[1]
        }
        for way, degrees in possible.items():
            yield TONE, way, size, tone_offset(region.colour, degrees)
        if possible:
            for way, offset in zip(SHAMS, sham_offsets(region.colour, size), strict=True):
                yield SHAM, way, size, offset


def _colour_change(before: Pixels, after: Pixels, region: SkinRegion) -> float:
    """Mean CIELAB difference (Delta E*ab, 1976) where the skin is."""
    change = np.linalg.norm(to_lab(after) - to_lab(before), axis=-1)
    return float((change * region.weight).sum() / region.weight.sum())


def _contrasts(
    before: Pixels, after: Pixels, region: SkinRegion, mask: Bools | None
) -> dict[str, float | None]:
    """The lesion's contrast, in CIELAB, and how far a change has moved it; of drawn masks."""
    if mask is None:
        return {}
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    skin = (region.weight > 0.5) & ~near
    if min(mask.sum(), skin.sum()) < _FEWEST:
        return {"contrast": None, "contrast_error": None}
    first, second = (_contrast(to_lab(image), mask, skin) for image in (before, after))
    return {
        "contrast": number(np.linalg.norm(first)),
        "contrast_error": number(np.linalg.norm(second - first)),
    }


def _contrast(lab: Floats, mask: Bools, skin: Bools) -> Floats:
    return np.asarray(np.median(lab[mask], axis=0) - np.median(lab[skin], axis=0))
