"""What to predict: a folder of photos, a CSV, or the competition's test set."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd

from ajl_tf.dataset import kaggle
from ajl_tf.dataset.formulas import is_formula
from ajl_tf.dataset.manifest import read_manifest
from ajl_tf.dataset.tables import read_table
from ajl_tf.errors import UserError, listed

# Files of these kinds are meant as photos; those that cannot be decoded are reported, not skipped.
PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".avif"),
    *(".gif", ".bmp", ".tif", ".tiff"),
)


def photos_to_predict(source: Path) -> pd.DataFrame:
    """Lists the photos of a source, in its own order.

    Args:
        source: The competition's folder, its zip or a folder with it (its test.csv counts), a CSV
            with `image_id, path` or `md5hash`, or any folder, whose photos are found at every depth
            and named by their path in it, without suffix. Links to folders are not followed, and
            photos are read from below the folder alone; a CSV may name others.

    Returns:
        Columns `image_id, path`, and what else a CSV says.

    Raises:
        UserError: Nothing there, two photos of one name, or one that is a link leading out.
    """
    source = source.expanduser().absolute()
    if not source.is_dir() or kaggle.holds_data(source):
        csvs = kaggle.csv_files(source)
        tests = [csv for csv in csvs if csv.name == "test.csv"]
        return read_manifest(tests or csvs, labels=False)
    return _folder(source)


def test_ids(source: Path) -> list[str]:
    """Ids of the competition's test.csv that a source is or holds, in its order."""
    for csv in kaggle.csv_files(source.expanduser().absolute()):
        table, _ = read_table(csv)  # its problems were told when its photos were listed
        if csv.name == "test.csv" and "md5hash" in table:
            ids: list[str] = table["md5hash"].tolist()
            return ids
    raise UserError(
        f"{source} holds no test.csv with a column md5hash, whose ids and order a submission must "
        "have. Name the competition's folder, or leave --submission out."
    )


def _folder(folder: Path) -> pd.DataFrame:
    paths = sorted(
        Path(where) / name
        for where, _, names in os.walk(folder, onerror=_refuse)
        for name in names
        if Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")
    )
    if not paths:
        kinds = " ".join(PHOTO_SUFFIXES)
        raise UserError(f"{folder} holds no photo. Looked for files ending in {kinds}.")
    inside = folder.resolve()
    outside = [str(path) for path in paths if path.is_symlink() and _leads_out(path, inside)]
    if outside:
        raise UserError(
            f"{folder} holds photos that are links leading out of it:\n{listed(outside)}\n"
            "Put the photos there, or name them in a CSV with the columns image_id, path."
        )
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in paths]
    strange = [ascii(str(path)) for path, name in zip(paths, names, strict=True) if _strange(name)]
    if strange:
        raise UserError(
            f"{folder} holds photos with a control character in their name, or one that is not "
            f"UTF-8:\n{listed(strange)}\nRename them."
        )
    formulas = [str(path) for path, name in zip(paths, names, strict=True) if is_formula(name)]
    if formulas:
        raise UserError(
            f"{folder} holds photos whose names a spreadsheet that opens the predictions would run "
            f"as formulas:\n{listed(formulas)}\nRename them."
        )
    rows = pd.DataFrame({"image_id": names, "path": [str(path) for path in paths]})
    twice = rows[rows["image_id"].duplicated(keep=False)]
    if len(twice):
        raise UserError(
            f"{folder} holds photos that differ only in their suffix, and would share a name:\n"
            f"{listed(twice['path'].tolist())}\nRename one of each."
        )
    return rows


def _leads_out(link: Path, inside: Path) -> bool:
    # Not Path.resolve, which raises for a link to itself.
    return not Path(os.path.realpath(link)).is_relative_to(inside)


def _strange(name: str) -> bool:
    """Whether no CSV can hold a name: it has a control character, or a byte that is not UTF-8."""
    return re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]", name) is not None


def _refuse(error: OSError) -> None:
    raise error  # os.walk would leave out a folder that it cannot read
