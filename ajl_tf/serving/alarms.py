"""From which score on a photo counts as unlike anything known, and how often that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from ajl_tf.assessment.groups import BANDS, band_index, tone_index
from ajl_tf.assessment.metrics import Bools
from ajl_tf.serving.sources import Source
from ajl_tf.serving.unlike import FALSE_ALARMS, Known


@dataclass(frozen=True)
class Alarms:
    """False alarms among known photos of a tone band, or of all.

    Attributes:
        group: `all`, or a tone band.
        n: Photos.
        share: Of them above the threshold; None without photos.
        low: Lower end of its 95 % interval (Wilson 1927).
        high: Upper end.
    """

    group: str
    n: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class Unlike:
    """What a SavedModel needs to say how unlike anything known a photo is.

    Attributes:
        known: What each of its networks knows.
        shares: What each one's score counts; they add up to 1.
        threshold: A score above it is an alarm.
        n: Photos that the threshold was fitted on.
        rows: Which photos the false alarms are of.
        alarms: Of all photos, then of each tone band.
    """

    known: tuple[Known, ...]
    shares: tuple[float, ...]
    threshold: float
    n: int
    rows: str
    alarms: tuple[Alarms, ...]


def fit_unlike(sources: Sequence[Source]) -> Unlike | None:
    """Puts together what the networks of all runs know.

    The threshold is of scores by one network a run, the one that a photo was held out from. What is
    served averages all of a run's, which alarms less: no photo is left to fit that on.

    Args:
        sources: With the same held-out rows in the same order.

    Returns:
        None where a run's photos were not shown to its networks, or are too few.
    """
    known = [source.known for source in sources]
    scores = [source.scores for source in sources if source.scores is not None]
    if len(scores) < len(sources):
        return None
    held_out, score = sources[0].held_out, np.mean(scores, axis=0)
    fits = held_out.fits
    threshold = float(np.quantile(score[fits], 1 - FALSE_ALARMS))
    fresh = ~fits if (~fits).any() else fits
    rows = held_out.words if fresh is fits else "test rows"
    if any(source.is_refit for source in sources):
        rows += "; a refit has trained on them"
    bands = band_index(tone_index(held_out.tones))
    groups = {"all": fresh} | {name: fresh & (bands == i) for i, name in enumerate(BANDS)}
    above = score > threshold
    alarms = tuple(_alarms(name, above[chosen]) for name, chosen in groups.items())
    each = [(one, 1 / len(own) / len(known)) for own in known if own is not None for one in own]
    together, shares = tuple(one for one, _ in each), tuple(share for _, share in each)
    return Unlike(together, shares, threshold, int(fits.sum()), rows, alarms)


def _alarms(group: str, above: Bools) -> Alarms:
    if not len(above):
        return Alarms(group, 0, None, None, None)
    found = binomtest(int(above.sum()), len(above))
    low, high = found.proportion_ci(method="wilson")
    return Alarms(group, len(above), float(above.mean()), float(low), float(high))
