"""Is a map faithful: does the network need what the map says it needs?

Deletion and insertion (Petsiuk, Das and Saenko 2018, arXiv:1806.07421). Deletion paints over the
photo, the most important pixels of the map first, with the photo's mean colour: of a faithful map
the probability falls at once, so that the area under its curve is small. Insertion starts from the
blurred photo and puts its pixels back, the most important first: there a large area is good.
A random map's areas say what the order is worth; what the photo itself contributes is in both.
"""

from __future__ import annotations

import numpy as np

from ajl_tf.explanation.baselines import blurred, mean_coloured
from ajl_tf.explanation.network import Maps, Network

STEPS = 16
GAMES = ("deletion", "insertion")


def importance_order(attribution: np.ndarray, seed: int) -> np.ndarray:
    """Pixels of a map `(S, S)` from the most important on, int `(S * S,)`; ties are drawn."""
    flat = attribution.ravel()
    ties = np.random.default_rng(seed).permutation(len(flat))
    return np.lexsort((ties, -flat))


def curves(network: Network, image: np.ndarray, label: int, maps: Maps, seed: int) -> np.ndarray:
    """The class's probability while the photo is painted over, or put back.

    Args:
        network: What the maps are of.
        image: float32 `(S, S, 3)` in [0, 255].
        label: The class that the maps explain.
        maps: `(M, S, S)`.
        seed: Decides ties.

    Returns:
        float32 `(M, 2, STEPS + 1)`: deletion and insertion.
    """
    ends = np.concatenate([image[None], mean_coloured(image[None]), blurred(image[None])])
    whole, flat, blur = network.probability(ends, label)
    between = range(1, STEPS)
    steps = []
    for attribution in maps:
        order = importance_order(attribution, seed)
        rank = np.empty(order.size, np.int64)
        rank[order] = np.arange(order.size)
        taken = [(rank < order.size * step / STEPS).reshape(attribution.shape) for step in between]
        chosen = np.stack(taken)[..., None]
        steps += [np.where(chosen, ends[1], image), np.where(chosen, image, ends[2])]
    shape = len(maps), len(GAMES), len(between)
    found = network.probability(np.concatenate(steps), label).reshape(shape)
    starts = np.broadcast_to([[whole], [blur]], (len(maps), 2, 1))
    stops = np.broadcast_to([[flat], [whole]], (len(maps), 2, 1))
    return np.concatenate([starts, found, stops], axis=-1).astype(np.float32)


def area(curve: np.ndarray) -> np.ndarray:
    """The area `(...)` under curves `(..., STEPS + 1)` over the share of pixels, in [0, 1]."""
    return np.asarray(np.trapezoid(curve, dx=1 / (curve.shape[-1] - 1), axis=-1))


def share_inside(attribution: np.ndarray, mask: np.ndarray) -> float:
    """The part of a map's positive sum that is in a mask, both `(S, S)`; NaN of an empty map."""
    positive = np.maximum(attribution, 0)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total > 0 else float("nan")
