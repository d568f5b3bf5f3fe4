"""Recall and precision of `find_duplicates`, by kind of copy, on planted copies of your photos.

Copies of some photos are planted among all photos of the data and searched for. Where the data has
near-duplicates of its own, a pair found between a copy and another photo is right if the two
originals are in one group as well; what is left may be false. Look at it: a copy may be like
another photo of the same lesion where its original is a little less so. --sheet puts these pairs on
a picture, which shows what your data shows; judged.csv has what people said of the competition's.

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
from PIL import Image, ImageOps
from planting import AND, CHAIN, Copy, chained_ways, double_ways, make_copy, single_ways

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
    parser.add_argument("--sheet", type=Path, help="a PNG for the pairs that may be false")
    parser.add_argument(
        "--judged",
        type=Path,
        default=Path(__file__).with_name("judged.csv"),
        help="first, second (image_ids of originals), judged (same or other): pairs that were "
        "looked at (default: %(default)s)",
    )
    options = parser.parse_args(argv)
    manifest = read_manifest([options.data])
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(manifest, options.photos, options.copies, options.seed, Path(folder))
        both = pd.concat([manifest, planted], ignore_index=True)
        start, cpu_start = time.monotonic(), time.process_time()
        pairs = find_duplicates(both, options.cache)
        seconds, cpu = time.monotonic() - start, time.process_time() - cpu_start
        looked_at = pd.read_csv(options.judged)
        same, other, doubtful = judge(unlinked_pairs(manifest, planted, pairs), planted, looked_at)
        if options.sheet and doubtful:
            draw_sheet(doubtful, both.set_index("image_id")["path"]).save(options.sheet)
    planted["found"] = paired(manifest, planted, pairs)
    print(f"{table(planted).to_string()}\n")
    for name, chosen in kinds_of(planted).items():
        print(f"{name}: {planted['found'][chosen].mean():.4f} of {chosen.sum()}")
    print(
        f"{len(planted)} copies of {options.photos} photos among {len(manifest)}: "
        f"{planted['found'].mean():.1%} found as a pair with their original. {len(pairs)} pairs "
        f"among {len(both)} photos; where the originals are in no group, {len(same)} show the same "
        f"lesion or patient, {len(other)} do not, {len(doubtful)} were not looked at. "
        f"{seconds:.0f} s, of processors {cpu:.0f} s"
    )
    for row in planted[~planted["found"]].itertuples():
        print(f"  missed: {row.original} {row.kind} ({row.strength})")
    told = {row.image_id: f"{row.kind} ({row.strength})" for row in planted.itertuples()}
    for pair in other + doubtful:
        print("  look:", *(f"{name} {told.get(name, 'as it is')}" for name in pair))
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


def paired(manifest: pd.DataFrame, planted: pd.DataFrame, pairs: pd.DataFrame) -> list[bool]:
    """Whether each copy is in a pair with its original, or with a file identical to that."""
    digests = [hashlib.sha256(Path(path).read_bytes()).digest() for path in manifest["path"]]
    ids = manifest["image_id"]
    shown = dict(zip(ids, ids.groupby(digests).transform("min"), strict=True))
    known = {frozenset(pair) for pair in pairs[["first", "second"]].itertuples(index=False)}
    both = zip(planted["image_id"], planted["original"].map(shown), strict=True)
    return [frozenset(pair) in known for pair in both]


def kinds_of(planted: pd.DataFrame) -> dict[str, pd.Series]:
    """Which copies had one change, two, or more."""
    two = planted["kind"].str.contains(AND, regex=False)
    several = planted["kind"] == CHAIN
    return {"one change": ~two & ~several, "two changes": two, "more changes": several}


def unlinked_pairs(
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


def judge(
    unlinked: list[tuple[str, str]], planted: pd.DataFrame, looked_at: pd.DataFrame
) -> list[list[tuple[str, str]]]:
    """Pairs whose originals someone judged the same, and other, and those not looked at."""
    original = dict(zip(planted["image_id"], planted["original"], strict=True))
    said = {
        frozenset((row.first, row.second)): row.judged for row in looked_at.itertuples(index=False)
    }
    parts: dict[str, list[tuple[str, str]]] = {"same": [], "other": [], "": []}
    for pair in unlinked:
        parts[said.get(frozenset(original.get(name, name) for name in pair), "")].append(pair)
    return list(parts.values())


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


def draw_sheet(pairs: list[tuple[str, str]], paths: pd.Series, side: int = 160) -> Image.Image:
    """Both photos of each pair beside each other, five pairs a row."""
    sheet = Image.new("RGB", (10 * side + 80, -(-len(pairs) // 5) * (side + 8)), "black")
    for number, pair in enumerate(pairs):
        left, top = number % 5 * (2 * side + 16), number // 5 * (side + 8)
        for place, name in enumerate(pair):
            photo = ImageOps.contain(Image.open(paths[name]).convert("RGB"), (side, side))
            sheet.paste(photo, (left + place * side, top))
    return sheet


def _some(ways: list[Copy], count: int, rng: np.random.Generator) -> list[Copy]:
    return [ways[index] for index in rng.choice(len(ways), count, replace=False)]


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
