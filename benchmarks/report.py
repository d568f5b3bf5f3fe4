"""How long the whole report takes: 2,000 bootstrap resamples of every figure.

Promised on two cores: at most 10 s for 1,227 photos, a minute for 100,000. Predictions are drawn at
random, as unequal in tone as the competition's photos. Beside it, fairlearn's MetricFrame with its
own bootstrap, for two metrics by tone band, and whether both give the same values.

    python benchmarks/report.py
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ajl_tf.assessment.report import make_report
from ajl_tf.errors import run_verb

CLASSES = [f"condition {i:02d}" for i in range(1, 22)]
TONES, SHARES = [-1, 1, 2, 3, 4, 5, 6], [0.04, 0.18, 0.34, 0.2, 0.14, 0.07, 0.03]
PARTITIONS = ["benign", "malignant", "non-neoplastic"]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints seconds and memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, nargs="+", default=[1_227, 100_000])
    parser.add_argument("--resamples", type=int, default=2_000)
    parser.add_argument("--fairlearn-resamples", type=int, default=100, metavar="N")
    options = parser.parse_args(argv)
    print(f"{'photos':>8}{'resamples':>11}{'seconds':>9}{'of a core':>11}{'peak MB':>9}")
    for photos in options.photos:
        table = drawn(photos)
        wall, core = time.perf_counter(), time.process_time()
        make_report(table, by=["fitzpatrick_centaur"], resamples=options.resamples)
        wall, core = time.perf_counter() - wall, time.process_time() - core
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{photos:>8,}{options.resamples:>11,}{wall:>9.1f}{core:>11.1f}{peak:>9.0f}")
    beside_fairlearn(drawn(options.photos[0]), options.fairlearn_resamples)
    return 0


def drawn(photos: int) -> pd.DataFrame:
    """Predictions with labels, probabilities, two opinions on the tone, folds and a label tree."""
    rng = np.random.default_rng(0)
    label = rng.choice(len(CLASSES), photos, p=rng.dirichlet(np.full(len(CLASSES), 3.0)))
    logits = rng.normal(0, 1, (photos, len(CLASSES)))
    logits[np.arange(photos), label] += 2.5
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    tone = rng.choice(TONES, photos, p=SHARES)
    return pd.DataFrame(
        {
            "image_id": [f"photo {i}" for i in range(photos)],
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[probabilities.argmax(axis=1)],
            "skin_tone": tone,
            "fitzpatrick_centaur": np.where(rng.random(photos) < 0.5, tone, rng.permutation(tone)),
            "fold": np.arange(photos) % 5,
            "group_id": np.where(rng.random(photos) < 0.04, "copies", "")
            + np.arange(photos).astype(str),
            "three_partition_label": np.array(PARTITIONS)[label % 3],
            **{f"prob_{name}": probabilities[:, i] for i, name in enumerate(CLASSES)},
        }
    )


def beside_fairlearn(table: pd.DataFrame, resamples: int) -> None:
    """Prints fairlearn's time for accuracy and weighted F1 by band, and how far values differ."""
    from fairlearn.metrics import MetricFrame
    from sklearn.metrics import accuracy_score, f1_score

    def weighted_f1(label: pd.Series, predicted: pd.Series) -> float:
        return float(f1_score(label, predicted, average="weighted", zero_division=0))

    band = table["skin_tone"].map({1: "1-2", 2: "1-2", 3: "3-4", 4: "3-4", 5: "5-6", 6: "5-6"})
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = MetricFrame(
            metrics={"accuracy": accuracy_score, "weighted_f1": weighted_f1},
            y_true=table["label"],
            y_pred=table["predicted"],
            sensitive_features=band.fillna("unknown"),
            n_boot=resamples,
            ci_quantiles=[0.025, 0.975],
            random_state=0,
        )
    seconds = time.perf_counter() - start
    report = make_report(table, resamples=resamples)
    values, ends = [], []
    for group in report["by_band"]["groups"]:
        for name in ("accuracy", "weighted_f1"):
            values.append(group[name]["value"] - frame.by_group[name][group["group"]])
            for end, quantile in zip(("low", "high"), frame.by_group_ci, strict=True):
                ends.append(group[name][end] - quantile[name][group["group"]])
    print(
        f"fairlearn, two metrics by tone band, {len(table):,} photos, {resamples} resamples: "
        f"{seconds:.1f} s; the largest difference to the report is {np.abs(values).max():.6f} in a "
        f"value, {np.abs(ends).max():.3f} in the end of an interval (resamples of its own)"
    )


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
