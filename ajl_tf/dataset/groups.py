"""`group_id`: which photos must never be divided between two sides of a split."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd

T = TypeVar("T")
_TAIL = 1024  # bytes; the end of a JPEG differs between photos, its beginning often does not


def assign_groups(manifest: pd.DataFrame) -> pd.DataFrame:
    """Gives photos with identical content the same `group_id`.

    Args:
        manifest: Columns `image_id`, `path` (existing files) and optionally `group_id`: rows that
            share a non-empty one belong together as well, whichever source they come from.

    Returns:
        The manifest with `group_id`: the smallest image_id among all rows that are linked, over
        however many steps, by content or by a `group_id` given.
    """
    ids = manifest["image_id"].tolist()
    clusters = [[ids[row] for row in rows] for rows in _identical(manifest["path"].tolist())]
    if "group_id" in manifest:
        given = manifest.loc[manifest["group_id"].fillna("") != "", ["image_id", "group_id"]]
        clusters += _sharing(given["image_id"].tolist(), given["group_id"].tolist())
    return manifest.assign(group_id=merge_groups(ids, clusters))


def merge_groups(image_ids: Sequence[str], clusters: Iterable[Sequence[str]]) -> list[str]:
    """Joins overlapping clusters of photos until none overlap.

    Args:
        image_ids: Every photo, each once.
        clusters: Photos that belong together; a pair is a cluster of two. Any number may overlap.

    Returns:
        For each of `image_ids` the smallest image_id of its group; a photo in no cluster is a
        group of its own.

    Raises:
        KeyError: A cluster names a photo that is not among `image_ids`.
    """
    parent = {image_id: image_id for image_id in image_ids}

    def root(image_id: str) -> str:
        while parent[image_id] != image_id:
            parent[image_id] = parent[parent[image_id]]  # halves the path: nearly constant time
            image_id = parent[image_id]
        return image_id

    for cluster in clusters:
        for other in cluster[1:]:
            low, high = sorted((root(cluster[0]), root(other)))
            parent[high] = low
    return [root(image_id) for image_id in image_ids]


def _identical(paths: Sequence[str]) -> list[list[int]]:
    """Rows whose files have the same content; a file is read only as far as it is in doubt."""
    clusters = [list(range(len(paths)))]
    fingerprints: tuple[Callable[[str], Hashable], ...] = (os.path.getsize, _tail, _digest)
    for fingerprint in fingerprints:
        clusters = [
            alike
            for rows in clusters
            for alike in _sharing(rows, [_or_path(fingerprint, paths[row]) for row in rows])
        ]
    return clusters


def _or_path(fingerprint: Callable[[str], Hashable], path: str) -> Hashable:
    """Of a file that cannot be read its path: whoever decodes it reports it."""
    try:
        return fingerprint(path)
    except OSError:
        return path


def _sharing(items: Sequence[T], keys: Iterable[Hashable]) -> list[list[T]]:
    """The items that share a key with another, in lists of two or more."""
    found: defaultdict[Hashable, list[T]] = defaultdict(list)
    for item, key in zip(items, keys, strict=True):
        found[key].append(item)
    return [alike for alike in found.values() if len(alike) > 1]


def _tail(path: str) -> bytes:
    with Path(path).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        return file.read()


def _digest(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
