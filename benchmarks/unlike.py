"""Which score tells photos of something else from photos of the kind that a run was trained on.

    python benchmarks/unlike.py RUN [--strange FOLDER]

Known photos are scored by the network of the run's fold that held them out, pictures of something
else by each, and the threshold passes 5 % of the known ones. Pictures: what scikit-learn and
matplotlib carry, walls, plain colours, noise, pages of text, and the photos of --strange.
`benchmarks/unlike.md` has the results.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import sklearn
from PIL import Image, ImageDraw, ImageFont
from sklearn.metrics import roc_auc_score

from ajl_tf.assessment.groups import BANDS, band_index, tone_index
from ajl_tf.dataset.listing import photos_to_predict
from ajl_tf.serving.held_out import photo_canvases, seen_by
from ajl_tf.serving.sources import Options, open_source, with_networks
from ajl_tf.serving.unlike import know

SIDE, EACH, NEIGHBOURS, AXES, SHRINK = 256, 20, 10, 128, 0.3


@dataclass(frozen=True, eq=False)
class Seen:
    """Features and logits of a fold's network, of what it trained on, held out, and of the strange.

    Tones and clusters are of the first two.
    """

    train: np.ndarray
    held_out: np.ndarray
    strange: np.ndarray
    labels: np.ndarray
    logits: tuple[np.ndarray, np.ndarray]
    tones: tuple[np.ndarray, np.ndarray]
    clusters: tuple[np.ndarray, np.ndarray]


Scores = tuple[np.ndarray, np.ndarray]  # of held-out and of strange photos, higher is stranger


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)


def largest_logit(seen: Seen) -> Scores:
    return tuple(-logits.max(axis=1) for logits in seen.logits)


def energy(seen: Seen) -> Scores:
    return tuple(-np.logaddexp.reduce(logits, axis=1) for logits in seen.logits)


def nearest(seen: Seen) -> Scores:
    known = unit(seen.train)

    def score(features: np.ndarray) -> np.ndarray:
        return -np.partition(unit(features) @ known.T, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS]

    return score(seen.held_out), score(seen.strange)


def relative_mahalanobis(seen: Seen) -> Scores:
    def gaussian(groups: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        means = np.stack([seen.train[groups == group].mean(axis=0) for group in np.unique(groups)])
        rest = seen.train - means[np.searchsorted(np.unique(groups), groups)]
        spread = rest.T @ rest / len(rest)
        mean = np.trace(spread) / len(spread) * np.eye(len(spread))
        inverse = np.linalg.inv((1 - SHRINK) * spread + SHRINK * mean)

        def score(features: np.ndarray) -> np.ndarray:
            each = [features - mean for mean in means]
            return np.min([np.einsum("ij,ij->i", far @ inverse, far) for far in each], axis=0)

        return score

    own, every = gaussian(seen.labels), gaussian(np.zeros(len(seen.labels)))
    return tuple(own(part) - every(part) for part in (seen.held_out, seen.strange))


def residual(features: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    mean = features.mean(axis=0)
    axes = np.linalg.eigh(np.cov(features.T))[1][:, -AXES:]

    def score(asked: np.ndarray) -> np.ndarray:
        far = asked - mean
        return np.linalg.norm(far - (far @ axes) @ axes.T, axis=1)

    return score


def vim(seen: Seen) -> Scores:
    score = residual(seen.train)
    scale = np.abs(seen.logits[0]).max(axis=1).mean() / score(seen.train).mean()
    parts = zip((seen.held_out, seen.strange), energy(seen), strict=True)
    return tuple(scale * score(part) + rest for part, rest in parts)


def subspace_of_training_photos(seen: Seen) -> Scores:
    score = residual(unit(seen.train))
    return score(unit(seen.held_out)), score(unit(seen.strange))


def as_served(seen: Seen) -> Scores:
    learned = know(seen.held_out, seen.tones[1], seen.clusters[1])
    assert learned is not None
    return learned[1], learned[0].unlike(seen.strange)


def as_served_each_photo_alike(seen: Seen) -> Scores:
    learned = know(seen.held_out, np.ones(len(seen.held_out)), seen.clusters[1])
    assert learned is not None
    return learned[1], learned[0].unlike(seen.strange)


METHODS: tuple[Callable[[Seen], Scores], ...] = (
    *(largest_logit, energy, vim, relative_mahalanobis, nearest, subspace_of_training_photos),
    *(as_served_each_photo_alike, as_served),
)


def strange_pictures(folder: Path | None) -> dict[str, list[np.ndarray]]:
    """Kind -> uint8 pictures (SIDE, SIDE, 3)."""
    rng = np.random.default_rng(0)

    def soft(size: int) -> np.ndarray:
        coarse = Image.fromarray(rng.integers(0, 256, (size, size, 3)).astype(np.uint8))
        return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(float)

    def wall() -> np.ndarray:
        light = np.linspace(-1, 1, SIDE)[:, None, None] * rng.uniform(0, 25)
        grain = (soft(SIDE // 4).mean(axis=2, keepdims=True) - 128) * rng.uniform(0, 0.3)
        return rng.uniform(30, 225, 3) + light + grain + rng.normal(0, 3, (SIDE, SIDE, 3))

    def page() -> np.ndarray:
        image = Image.new("RGB", (SIDE, SIDE), (245, 243, 238))
        font = ImageFont.load_default(int(rng.integers(8, 22)))
        for y in range(4, SIDE, int(rng.integers(12, 26))):
            line = "".join(rng.choice(list("a b c d e f g h i mnorstu"), 60))
            ImageDraw.Draw(image).text((6, y), line, fill=(30, 30, 40), font=font)
        return np.asarray(image).astype(float)

    made = {
        "walls": [wall() for _ in range(EACH)],
        "plain colours": [np.full((SIDE, SIDE, 3), rng.uniform(0, 255, 3)) for _ in range(EACH)],
        "noise": [rng.uniform(0, 255, (SIDE, SIDE, 3)) for _ in range(EACH)],
        "soft noise": [soft(int(rng.integers(4, 60))) for _ in range(EACH)],
        "pages of text": [page() for _ in range(EACH)],
    }
    pictures = {
        name: [p.clip(0, 255).astype(np.uint8) for p in each] for name, each in made.items()
    }
    packaged = [Path(sklearn.__file__).parent / "datasets" / "images" / name for name in _SKLEARN]
    packaged.append(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    found = [Path(path) for path in photos_to_predict(folder)["path"]] if folder else []
    for path in [*packaged, *found]:
        with Image.open(path) as image:
            pictures[path.stem] = _crops(image.convert("RGB"), rng)
    return pictures


_SKLEARN = ("china.jpg", "flower.jpg")


def _crops(image: Image.Image, rng: np.random.Generator) -> list[np.ndarray]:
    crops = []
    for _ in range(8):
        side = int(min(image.size) * rng.uniform(0.4, 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        box = image.crop((left, top, left + side, top + side))
        crops.append(np.asarray(box.resize((SIDE, SIDE), Image.Resampling.BILINEAR)))
    return crops


def look(run: Path, strange: np.ndarray, cache: Path) -> list[Seen]:
    """Shows each fold's network all photos of the run, and the strange pictures."""
    source = open_source(run)
    experiment, side = source.experiment, source.experiment.canvas
    source = with_networks(source, side, Options(unlike=False))
    held_out, labels = source.held_out, source.held_out.labels
    ids, fit = held_out.table["image_id"].tolist(), experiment.data.fit
    canvases = photo_canvases(source.folder, ids, side, fit, cache, experiment.data.memory_limit_mb)
    resized = [np.asarray(Image.fromarray(picture).resize((side, side))) for picture in strange]
    seen = []
    for number, member in enumerate(source.members):
        features, logits = seen_by(member, canvases, np.arange(len(canvases)))
        others = seen_by(member, np.stack(resized), np.arange(len(resized)))
        out = held_out.parts == number
        tones, clusters = ((each[~out], each[out]) for each in (held_out.tones, held_out.clusters))
        parts = features[~out], features[out], others[0]
        seen.append(Seen(*parts, labels[~out], (logits[out], others[1]), tones, clusters))
    return seen


def refit_alarms(seen: Seen) -> float:
    """Share of held-out photos above a threshold made of photos that the network trained on."""
    learned = know(seen.train, seen.tones[0], seen.clusters[0])
    assert learned is not None
    return float((learned[0].unlike(seen.held_out) > np.quantile(learned[1], 0.95)).mean())


def row(name: str, scores: list[Scores], seen: list[Seen], kinds: np.ndarray) -> dict[str, object]:
    """A method's figures: over kinds of pictures, and by tone band."""
    bands = np.concatenate([band_index(tone_index(each.tones[1])) for each in seen])
    above = np.concatenate([own > np.quantile(own, 0.95) for own, _ in scores])
    areas, found = [], []
    for own, other in scores:
        for kind in np.unique(kinds):
            asked = np.concatenate([own, other[kinds == kind]])
            areas.append(roc_auc_score(np.arange(len(asked)) >= len(own), asked))
            found.append((other[kinds == kind] > np.quantile(own, 0.95)).mean())
    alarms = {band: f"{above[bands == i].mean():.1%}" for i, band in enumerate(BANDS)}
    return {
        "score": name,
        "AUROC": f"{np.mean(areas):.3f}",
        "found": f"{np.mean(found):.1%}",
        **alarms,
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--strange", type=Path, help="folder of photos of something else")
    parser.add_argument("--cache", type=Path, default=Path("data/.cache"))
    arguments = parser.parse_args()
    pictures = strange_pictures(arguments.strange)
    kinds = np.repeat(list(pictures), [len(each) for each in pictures.values()])
    print(f"{len(kinds)} pictures of {len(pictures)} kinds: {', '.join(pictures)}")
    strange = np.stack([picture for each in pictures.values() for picture in each])
    seen = look(arguments.run, strange, arguments.cache)
    rows = [
        row(method.__name__, [method(each) for each in seen], seen, kinds) for method in METHODS
    ]
    print(pd.DataFrame(rows).to_string(index=False))
    refits = ", ".join(f"{refit_alarms(each):.1%}" for each in seen)
    print(f"false alarms where the threshold is of photos that the network trained on: {refits}")


if __name__ == "__main__":
    main()
