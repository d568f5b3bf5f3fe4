"""Which interval of a parity figure holds the true value: in how many of 100 samples.

Bands as unequal in size as the competition's, eight conditions, mixes of conditions that differ
between bands, and a model that is as good on the third band or half as sure of it. The true value
is that of endlessly many photos. An honest interval holds it in 95 of 100 samples.

    python benchmarks/parity_intervals.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from ajl_tf.assessment.bootstrap import Bootstrap, basic_interval, percentile_interval
from ajl_tf.assessment.groups import group_stack
from ajl_tf.assessment.metrics import Floats
from ajl_tf.assessment.parity import parity_figures
from ajl_tf.errors import run_verb

SIZES, CLASSES = (640, 410, 127), 8
COMPARED = np.array([True, True, True, False])


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=120)
    parser.add_argument("--resamples", type=int, default=200)
    options = parser.parse_args(argv)
    print(f"{'figure':<38}{'sureness':>9}{'true':>7}{'percentile':>12}{'basic':>7}")
    for sureness in (1.0, 0.5):
        chances = worlds(sureness)
        true = parity_figures(np.concatenate([chances, np.zeros((1, CLASSES, CLASSES))]), COMPARED)
        held = {name: np.zeros(2) for name in true}
        for seed in range(options.samples):
            for name, hits in sample(chances, true, options.resamples, seed).items():
                held[name] += hits
        for name, hits in held.items():
            percentile, basic = 100 * hits / options.samples
            print(f"{name:<38}{sureness:>9}{true[name]:>7.3f}{percentile:>12.0f}{basic:>7.0f}")
    return 0


def worlds(sureness: float) -> Floats:
    """(3, C, C): how often each label gets each answer in each band, times the band's photos."""
    rng = np.random.default_rng(0)
    mixes = rng.dirichlet(np.full(CLASSES, 3.0), 3)
    guesses = rng.dirichlet(np.ones(CLASSES), CLASSES)
    known = [guesses + 3 * share * np.eye(CLASSES) for share in (1.0, 1.0, sureness)]
    answers = np.stack([each / each.sum(axis=1, keepdims=True) for each in known])
    sizes: Floats = np.array(SIZES)[:, None, None] * mixes[:, :, None] * answers
    return sizes


def sample(
    chances: Floats, true: dict[str, Floats], resamples: int, seed: int
) -> dict[str, list[bool]]:
    """Whether either interval of one sample holds the true value, for each figure."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(SIZES)), SIZES)
    cells = [
        rng.choice(CLASSES**2, n, p=(each / n).ravel())
        for each, n in zip(chances, SIZES, strict=True)
    ]
    label, pred = np.divmod(np.concatenate(cells), CLASSES)

    def figures(weights: Floats) -> dict[str, Floats]:
        shape = (len(COMPARED), CLASSES)
        return parity_figures(group_stack(label, pred, group, shape, weights), COMPARED)

    observed = figures(np.ones((1, len(group))))
    moved = Bootstrap(np.arange(len(group)), resamples, seed).figures(figures)
    held = {}
    for name, value in true.items():
        ends = percentile_interval(moved[name]), basic_interval(observed[name][0], moved[name])
        held[name] = [bool(low <= value <= high) for low, high in ends]
    return held


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
