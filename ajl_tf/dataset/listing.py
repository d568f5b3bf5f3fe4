"""What to predict: a folder of photos, a CSV, or the competition's test set."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from ajl_tf.dataset import kaggle
from ajl_tf.dataset.manifest import read_manifest
from ajl_tf.errors import UserError, listed

# Files of these kinds are meant as photos; those that cannot be decoded are reported, not skipped.
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".avif")
PHOTO_SUFFIXES += (".gif", ".bmp", ".tif", ".tiff")


def photos_to_predict(source: Path) -> pd.DataFrame:
    """Lists the photos of a source, in its own order.

    Args:
        source: The competition's folder or zip (its test.csv counts), a CSV with `image_id, path`
            or `md5hash`, or any folder, whose photos are found at every depth and named by their
            path in it, without suffix.

    Returns:
        Columns `image_id, path`, and what else a CSV says.

    Raises:
        UserError: Nothing there, or two photos of one name.
    """
    source = source.expanduser().absolute()
    if not source.is_dir() or (source / "test.csv").exists() or (source / "train.csv").exists():
        csvs = kaggle.csv_files(source)
        tests = [csv for csv in csvs if csv.name == "test.csv"]
        return read_manifest(tests or csvs, labels=False)
    return _folder(source)


def test_ids(source: Path) -> list[str]:
    """Ids of the competition's test.csv that a source is or holds, in its order."""
    tests = [
        csv for csv in kaggle.csv_files(source.expanduser().absolute()) if csv.name == "test.csv"
    ]
    if not tests:
        raise UserError(f"{source} holds no test.csv, whose ids and order a submission must have.")
    ids: list[str] = pd.read_csv(tests[0], dtype=str)["md5hash"].tolist()
    return ids


def _folder(folder: Path) -> pd.DataFrame:
    paths = sorted(
        Path(where) / name
        for where, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")
    )
    if not paths:
        kinds = " ".join(PHOTO_SUFFIXES)
        raise UserError(f"{folder} holds no photo. Looked for files ending in {kinds}.")
    rows = pd.DataFrame(
        {
            "image_id": [path.relative_to(folder).with_suffix("").as_posix() for path in paths],
            "path": [str(path) for path in paths],
        }
    )
    twice = rows[rows["image_id"].duplicated(keep=False)]
    if len(twice):
        raise UserError(
            f"{folder} holds photos that differ only in their suffix, and would share a name:\n"
            f"{listed(twice['path'].tolist())}\nRename one of each."
        )
    return rows
