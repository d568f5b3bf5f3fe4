"""Whether the interval of standardised recall holds the true value: in how many of 100 samples.

Bands and conditions as unequal in size as the competition's, and a model that is as good on each
condition, or better on common ones. The true value is that of endlessly many photos. Resamples in
which a rare condition is missing do without it, which moves them; an honest interval holds the
value in 95 of 100 samples all the same.

    python benchmarks/recall_intervals.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from ajl_tf.assessment.bootstrap import Bootstrap, basic_interval, percentile_interval
from ajl_tf.assessment.groups import BANDS, group_figures, group_stack
from ajl_tf.assessment.metrics import Floats, Ints
from ajl_tf.errors import run_verb

SIZES, CLASSES, COMMONEST, RAREST = (1492, 955, 305), 21, 407, 28  # of the competition's photos
COMPARED = np.array([True, True, True, False])
RECALL, FIGURE = 0.55, "standardised_recall"


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=300)
    options = parser.parse_args(argv)
    shares = np.geomspace(COMMONEST, RAREST, CLASSES)
    shares /= shares.sum()
    print(f"{'model':<26}{'band':<6}{'percentile':>11}{'basic':>7}{'resamples too high by':>23}")
    for name, slope in (("alike on all conditions", 0.0), ("better on common ones", 0.15)):
        recalls = RECALL + slope * (np.log(shares) - np.log(shares).mean())
        found = [
            sample(shares, recalls, options.resamples, seed) for seed in range(options.samples)
        ]
        means = np.mean(found, axis=0)
        for band, (percentile, basic, moved) in zip(BANDS, means, strict=False):
            print(f"{name:<26}{band:<6}{100 * percentile:>11.0f}{100 * basic:>7.0f}{moved:>23.4f}")
    return 0


def sample(shares: Floats, recalls: Floats, resamples: int, seed: int) -> Floats:
    """(3, 3): of each band whether either interval holds the value, and how resamples are moved."""
    rng = np.random.default_rng(seed)
    bands = np.repeat(np.arange(len(SIZES)), SIZES)
    labels = rng.choice(CLASSES, len(bands), p=shares)
    wrong = (labels + rng.integers(1, CLASSES, len(bands))) % CLASSES
    answers = np.where(rng.uniform(size=len(bands)) < recalls[labels], labels, wrong)

    def figures(weights: Floats) -> dict[str, Floats]:
        stack = group_stack(labels, answers, bands, (len(BANDS), CLASSES), weights)
        return {FIGURE: group_figures(stack, COMPARED)[FIGURE][:, : len(SIZES)]}

    true = recalls[shared(labels, bands)].mean()
    observed = figures(np.ones((1, len(bands))))[FIGURE][0]
    moved = Bootstrap(np.arange(len(bands)), resamples, seed).figures(figures)[FIGURE]
    held = [
        (low <= true) & (true <= high)
        for low, high in (percentile_interval(moved), basic_interval(observed, moved))
    ]
    told: Floats = np.stack([*held, moved.mean(axis=0) - observed], axis=1)
    return told


def shared(labels: Ints, bands: Ints) -> Ints:
    """The conditions of which every band has a photo."""
    sets = [set(labels[bands == band]) for band in range(len(SIZES))]
    return np.array(sorted(set.intersection(*sets)))


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
