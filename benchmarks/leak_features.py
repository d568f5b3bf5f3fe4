"""What leaks are worth: out-of-fold weighted F1 with random folds, against leak-free ones.

Random folds keep identical files together and are stratified all the same; leak-free folds keep
near-duplicates together as well. Everything else is equal.

A logistic regression on features of a frozen EfficientNet-Lite0, made once. Each seed draws both
kinds of folds anew, so that the luck of one draw averages out.

    python benchmarks/leak_features.py --data data/
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ajl_tf.assessment.bootstrap import Bootstrap, percentile_interval
from ajl_tf.assessment.metrics import confusion, weighted_f1
from ajl_tf.dataset.manifest import labelled, read_manifest
from ajl_tf.dataset.splits import make_split
from ajl_tf.errors import run_verb
from ajl_tf.files import atomic_path
from ajl_tf.inspection.grouping import group_duplicates
from ajl_tf.inspection.leaks import find_leaks

BACKBONE, SIZE = "efficientnet_lite0", 224
RANDOM, FREE = "random", "leak-free"


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="as for train")
    parser.add_argument("--cache", type=Path, default=Path("data/.cache"), help="for the features")
    parser.add_argument("--scheme", default="5 folds", help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=20, help="default: %(default)s")
    options = parser.parse_args(argv)
    identical = labelled(read_manifest([options.data]))
    whole = labelled(group_duplicates(read_manifest([options.data]), options.cache))
    features = cached_features(identical, options.cache / f"{BACKBONE}_{SIZE}.npz")
    label_idx = np.unique(identical["label"], return_inverse=True)[1]
    answers: dict[str, list[np.ndarray]] = {RANDOM: [], FREE: []}
    twins = []
    for seed in range(options.seeds):
        for kind, manifest in ((RANDOM, identical), (FREE, whole)):
            split = make_split(manifest, options.scheme, seed)
            fold = identical[["image_id"]].merge(split, on="image_id")["fold"].to_numpy()
            answers[kind].append(out_of_fold(features, label_idx, fold))
            leaks = find_leaks(whole, split)
            if kind == RANDOM:
                twins.append(identical["image_id"].isin(leaks["image_id"]).to_numpy())
            elif len(leaks):
                raise RuntimeError(f"leak-free folds have {len(leaks)} leaks")
        print(f"draw {seed + 1} of {options.seeds}", flush=True)
    clusters = pd.factorize(whole["group_id"])[0].astype(np.int64)
    stacked = {kind: np.stack(predicted) for kind, predicted in answers.items()}
    tell(label_idx, stacked, np.stack(twins), clusters)
    return 0


def cached_features(manifest: pd.DataFrame, path: Path) -> np.ndarray:
    """float32 (N, D): the backbone's feature map, averaged over its places, a row a photo."""
    ids = manifest["image_id"].to_numpy(str)
    if path.is_file():
        with np.load(path) as kept:
            if np.array_equal(kept["image_ids"], ids):
                return kept["features"]
    from ajl_tf.process import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    from ajl_tf.dataset.canvases import load_canvases
    from ajl_tf.models.backbones import build_backbone

    canvases = load_canvases(
        manifest["path"].tolist(), SIZE, "cover", cache=path.parent, memory_limit_mb=4096
    )
    backbone = build_backbone(BACKBONE, SIZE, "imagenet")
    pooled = tf.function(lambda x: tf.reduce_mean(backbone(x, training=False), axis=(1, 2)))
    parts = [
        pooled(tf.cast(canvases[start : start + 32], tf.float32)).numpy()
        for start in range(0, len(canvases), 32)
    ]
    features = np.concatenate(parts)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, image_ids=ids, features=features)
    return features


def out_of_fold(features: np.ndarray, label_idx: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """(N,) the class that a model trained without a photo's fold gives it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    predicted = np.empty_like(label_idx)
    for held_out in np.unique(fold):
        scored = fold == held_out
        scaler = StandardScaler().fit(features[~scored])
        model = LogisticRegression(C=0.01, tol=0.01, max_iter=300)
        model.fit(scaler.transform(features[~scored]), label_idx[~scored])
        predicted[scored] = model.predict(scaler.transform(features[scored]))
    return predicted


def tell(
    label_idx: np.ndarray, answers: dict[str, np.ndarray], twins: np.ndarray, clusters: np.ndarray
) -> None:
    """Prints the table.

    Args:
        label_idx: (N,).
        answers: Kind of folds to (S, N), the predictions of S draws.
        twins: bool (S, N), which photos had a twin in another of the random folds.
        clusters: (N,), near-duplicates together: what the bootstrap draws.
    """
    from scipy import stats

    n_classes, draws = int(label_idx.max()) + 1, len(twins)
    right = {kind: predicted == label_idx for kind, predicted in answers.items()}

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        """Of weights (b, N); each figure (b,), `scores` (b, S)."""
        scores = {
            kind: np.stack(
                [weighted_f1(confusion(label_idx, row, n_classes, weights)) for row in predicted],
                axis=-1,
            )
            for kind, predicted in answers.items()
        }
        found = {f"weighted F1, {kind} folds": row.mean(axis=-1) for kind, row in scores.items()}
        found["difference"] = (scores[RANDOM] - scores[FREE]).mean(axis=-1)
        for name, chosen in (("with", twins), ("without", ~twins)):
            gained = ((right[RANDOM].astype(int) - right[FREE]) * chosen).sum(axis=0)  # (N,)
            of = weights @ chosen.sum(axis=0)
            found[f"difference in accuracy, photos {name} a twin"] = weights @ gained / of
        return found

    everything = np.ones((1, len(label_idx)))
    observed = figures(everything)
    moved = Bootstrap(clusters, 1000, 0).figures(figures)
    print(f"\n| over {draws} draws | mean | 95 % interval over photos (clusters) |\n|---|---|---|")
    for name, value in observed.items():
        low, high = percentile_interval(moved[name])
        print(f"| {name} | {value[0]:+.4f} | [{low:+.4f}, {high:+.4f}] |")
    each = [
        [float(weighted_f1(confusion(label_idx, row, n_classes))) for row in answers[kind]]
        for kind in (RANDOM, FREE)
    ]
    gaps = np.subtract(*each)
    low, high = stats.t.interval(0.95, draws - 1, gaps.mean(), stats.sem(gaps))
    print(f"\nThe difference over draws: {gaps.mean():+.4f}, 95 % interval of the mean ", end="")
    print(f"[{low:+.4f}, {high:+.4f}] (t), {(gaps > 0).sum()} of {draws} above 0.")
    n = twins.sum(axis=1)
    print(f"Photos with a twin in another random fold: {n.mean():.0f} ({n.min()} to {n.max()}).")


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
