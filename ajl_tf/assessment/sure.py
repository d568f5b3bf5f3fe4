"""The report's sections on how sure a model is, and how far that can be trusted on every tone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ajl_tf.assessment.calibration import calibration
from ajl_tf.assessment.conformal import conformal
from ajl_tf.assessment.figures import number
from ajl_tf.assessment.held_out import Parts, parts_of
from ajl_tf.assessment.metrics import Floats
from ajl_tf.assessment.scored import Scored
from ajl_tf.assessment.sections import Json, Section
from ajl_tf.assessment.selective import at_risk, risk_coverage
from ajl_tf.assessment.temperature import apply_temperature, fit_temperature, logits_of

_SCALED, _AT_RISK, _CONFORMAL = "sure scaled", "sure at_risk", "sure conformal"
_CALIBRATION, _CURVE = "sure calibration", "sure curve"


@dataclass(frozen=True)
class Fitted:
    """What is fitted on some rows and used on others.

    Attributes:
        parts: Which rows those are.
        temperatures: (N, 1), for each row, fitted on the rows of other parts.
        temperature: Fitted on all rows: for serving, behind no figure of a report.
    """

    parts: Parts
    temperatures: Floats
    temperature: float


def fit(rows: Scored, seed: int) -> Fitted | None:
    """Fits temperatures; None without probabilities, or with too few rows.

    Args:
        rows: What is scored.
        seed: Of the parts, where there are no folds.
    """
    parts = parts_of(rows, seed)
    if rows.probabilities is None or parts is None:
        return None
    logits = logits_of(rows.probabilities)
    temperatures = np.ones((len(logits), 1))
    for fit, use in parts.pairs():
        temperatures[use] = fit_temperature(logits[fit], rows.label_idx[fit])
    return Fitted(parts, temperatures, fit_temperature(logits, rows.label_idx))


def sure(rows: Scored, fitted: Fitted | None, draws: int, seed: int) -> dict[str, Section]:
    """Sections whose names begin with `sure`; none without probabilities.

    Args:
        rows: What is scored.
        fitted: On these rows.
        draws: How many draws of a calibrated model stand beside calibration errors.
        seed: Of these draws.
    """
    if rows.probabilities is None:
        return {}
    confidence = rows.probabilities.max(axis=1)
    sections = {
        _CALIBRATION: calibration(rows, rows.probabilities, draws, seed),
        _CURVE: risk_coverage(rows, confidence),
    }
    if fitted is not None:
        scaled = apply_temperature(logits_of(rows.probabilities), fitted.temperatures)
        sections |= {
            _SCALED: calibration(rows, scaled, draws, seed),
            _AT_RISK: at_risk(rows, confidence, fitted.parts),
            _CONFORMAL: conformal(rows, rows.probabilities, fitted.parts),
        }
    return sections


def told_sure(fitted: Fitted | None, told: Mapping[str, Json]) -> dict[str, Json] | None:
    """Puts together what these sections told; None without probabilities."""
    if _CALIBRATION not in told:
        return None
    together: dict[str, Json] = {
        "calibration": told[_CALIBRATION],
        "risk_coverage": told[_CURVE],
        "fitted_on": None,
        "temperature": None,
        "at_risk": None,
        "conformal": None,
    }
    if fitted is not None:
        together |= {
            "fitted_on": fitted.parts.words,
            "temperature": {
                "all": number(fitted.temperature),
                "used": [number(fitted.temperatures[use][0, 0]) for _, use in fitted.parts.pairs()],
                "calibration": told[_SCALED],
            },
            "at_risk": told[_AT_RISK],
            "conformal": told[_CONFORMAL],
        }
    return together
