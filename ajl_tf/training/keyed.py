"""Random numbers that follow from seed, epoch and photo, so that any of them can be made again.

A photo's numbers do not depend on which other photos there are, nor on where in the epoch it comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def photo_keys(image_ids: Iterable[str]) -> np.ndarray:
    """A number for each photo that follows from its name alone, uint64 `(N,)`."""
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in image_ids]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def uniforms(
    keys: np.ndarray, occurrences: np.ndarray, seed: int, epoch: int, count: int
) -> np.ndarray:
    """Uniform numbers for each photo: SplitMix64 (Steele, Lea and Flood 2014), a stream a photo.

    Args:
        keys: uint64 `(n,)` from `photo_keys`.
        occurrences: int `(n,)`, how often the photo came before in this epoch.
        seed: The experiment's.
        epoch: Counted from 0.
        count: Numbers a photo; the first ones stay the same whatever `count` is.

    Returns:
        float64 `(n, count)` in [0, 1).
    """
    (stream,) = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)
    state = _mixed(_mixed(keys ^ stream) + occurrences.astype(np.uint64) * _GOLDEN)
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    bits = _mixed(state[:, None] + steps)
    u: np.ndarray = (bits >> np.uint64(11)) * 2.0**-53
    return u


def _mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser; arrays of uint64 wrap around, as it wants."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed
