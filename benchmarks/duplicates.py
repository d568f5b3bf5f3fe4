"""Recall and precision of `find_duplicates`, by kind of copy, on planted copies of your photos.

Copies of some photos are planted among all photos of the data and searched for. Where the data has
near-duplicates of its own, a pair found between a copy and another photo is right if the two
originals are a pair as well; what is left is false.

    python benchmarks/duplicates.py --data data/

The copies are in a temporary folder that is deleted; only the table is written, to the screen.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from planting import AND, Copy, chained_ways, double_ways, make_copy, single_ways

from ajl_tf.dataset.groups import merge_groups
from ajl_tf.dataset.manifest import read_manifest
from ajl_tf.errors import run_verb
from ajl_tf.inspection.duplicates import find_duplicates

AND_ANOTHER = "and another change"


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="as for train")
    parser.add_argument("--photos", type=int, default=400, help="that are copied (%(default)s)")
    parser.add_argument("--copies", type=int, default=8, help="of each of them (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--cache", type=Path, help="of fingerprints, to save time")
    options = parser.parse_args(argv)
    manifest = read_manifest([options.data])
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(manifest, options.photos, options.copies, options.seed, Path(folder))
        both = pd.concat([manifest, planted], ignore_index=True)
        start = time.monotonic()
        pairs = find_duplicates(both, options.cache)
        seconds = time.monotonic() - start
    planted["found"] = paired(planted, pairs)
    print(f"{table(planted).to_string()}\n")
    false = false_pairs(manifest, planted, pairs)
    count, rate = len(both), 1000 * len(false) / len(both)
    print(
        f"{len(planted)} copies of {options.photos} photos among {len(manifest)}: "
        f"{planted['found'].mean():.1%} found as a pair with their original. {len(pairs)} pairs, "
        f"{len(false)} of them false: {rate:.2f} per 1,000 of {count} photos. {seconds:.0f} s"
    )
    for row in planted[~planted["found"]].itertuples():
        print(f"  missed: {row.original} {row.kind} ({row.strength})")
    told = {row.image_id: f"{row.kind} ({row.strength})" for row in planted.itertuples()}
    for pair in false:
        print("  false:", *(f"{name} {told.get(name, 'as it is')}" for name in pair))
    return 0


def plant(
    manifest: pd.DataFrame, photos: int, copies: int, seed: int, folder: Path
) -> pd.DataFrame:
    """Writes the copies; a row each: image_id, path, group_id, original, kind, strength."""
    rng = np.random.default_rng(seed)
    single, double, chained = single_ways(), double_ways(), chained_ways()
    rows = []
    chosen = manifest.iloc[rng.choice(len(manifest), min(photos, len(manifest)), replace=False)]
    for image_id, path in zip(chosen["image_id"], chosen["path"], strict=True):
        photo = Image.open(path).convert("RGB")
        ways = [
            *_some(single, copies - copies * 3 // 8 - copies // 8, rng),
            *_some(double, copies * 3 // 8, rng),
            *_some(chained, copies // 8, rng),
        ]
        for way in ways:
            name = hashlib.md5(f"{image_id} {way.kind} {way.strength}".encode()).hexdigest()
            file = folder / f"{name}.jpg"
            file.write_bytes(make_copy(photo, way, rng))
            rows.append((name, str(file), name, image_id, way.kind, way.strength))
    return pd.DataFrame(
        rows, columns=["image_id", "path", "group_id", "original", "kind", "strength"]
    )


def paired(planted: pd.DataFrame, pairs: pd.DataFrame) -> list[bool]:
    """Whether each copy is in a pair with its original."""
    known = {frozenset(pair) for pair in pairs[["first", "second"]].itertuples(index=False)}
    both = zip(planted["image_id"], planted["original"], strict=True)
    return [frozenset(pair) in known for pair in both]


def false_pairs(
    manifest: pd.DataFrame, planted: pd.DataFrame, pairs: pd.DataFrame
) -> list[tuple[str, str]]:
    """Pairs with a copy in them whose originals are neither one photo nor in one group."""
    original = {image_id: image_id for image_id in manifest["image_id"]}
    own = pairs[pairs["first"].isin(original) & pairs["second"].isin(original)]
    links = own[["first", "second"]].to_numpy().tolist()
    ids = manifest["image_id"].tolist()
    group = dict(zip(ids, merge_groups(ids, links), strict=True))
    original |= dict(zip(planted["image_id"], planted["original"], strict=True))
    return [
        (first, second)
        for first, second in pairs[["first", "second"]].itertuples(index=False)
        if group[original[first]] != group[original[second]]
    ]


def table(planted: pd.DataFrame) -> pd.DataFrame:
    """A row for each kind at each strength, and for each kind together with another."""
    one = planted[~planted["kind"].str.contains(AND, regex=False)]
    two = planted.drop(one.index)
    two = (
        two.assign(kind=two["kind"].str.split(AND, regex=False))
        .explode("kind")
        .assign(strength=AND_ANOTHER)
    )
    rows = pd.concat([one, two]).groupby(["kind", "strength"], sort=False)["found"]
    return rows.agg(copies="size", found="sum", recall="mean").round(3).sort_index()


def _some(ways: list[Copy], count: int, rng: np.random.Generator) -> list[Copy]:
    return [ways[index] for index in rng.choice(len(ways), count, replace=False)]


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
