"""The competition's data as Kaggle ships it: its zip, its folders, and where a photo lies.

`train.csv` and `test.csv` name a photo by `md5hash`; it lies at `train/train/<label>/<md5hash>.jpg`
or `test/test/<md5hash>.jpg`. Unpacked by other means the folders are not doubled, or flat.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

import pandas as pd

from ajl_tf.dataset.tables import told
from ajl_tf.errors import UserError

TABLES = ("train.csv", "test.csv")
RENAMED = {"md5hash": "image_id", "fitzpatrick_scale": "skin_tone"}
_FOLDERS = {"train": ("train/train", "train"), "test": ("test/test", "test")}
_UNZIPPED = ".unzipped-"
GET_DATA = (
    "Fetch the competition's data with `python -m ajl_tf.download`, draw a sample set with "
    "`python -m ajl_tf.draw data/drawn`, or name your own: a folder, its zip or a CSV (train takes "
    "it with --data)."
)


def csv_files(source: Path) -> list[Path]:
    """Finds the CSVs of a source.

    Args:
        source: The competition's folder, its zip, a folder that holds just that zip, or a CSV. A
            zip is unpacked once, beside itself, into a folder named after its size and time:
            another zip of the same name is never mistaken for it.

    Raises:
        UserError: There is nothing of that kind at `source`, or the zip is damaged or unsafe.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist. {GET_DATA}")
    if not source.is_dir():
        is_zip = source.suffix.lower() == ".zip" or zipfile.is_zipfile(source)
        return _tables(_root_of_zip(source)) if is_zip else [source]
    if tables := _tables(source):
        return tables
    zips = sorted(source.glob("*.zip"))
    if len(zips) > 1:
        names = ", ".join(path.name for path in zips)
        raise UserError(f"{source} holds several zips. Name one of them with --data: {names}.")
    if zips:
        return _tables(_root_of_zip(zips[0]))
    nearby = [str(path) for path in _subfolders(source) if _tables(path)]
    hint = f" Did you mean {' or '.join(nearby)}?" if nearby else ""
    raise UserError(f"{source} holds no train.csv, no test.csv and no zip.{hint} {GET_DATA}")


def holds_data(folder: Path) -> bool:
    """Whether `csv_files` finds the competition's tables in a folder, or in a zip there."""
    return bool(_tables(folder)) or any(map(_has_tables, folder.glob("*.zip")))


def _has_tables(archive: Path) -> bool:
    try:
        with zipfile.ZipFile(archive) as zipped:
            return any(PurePosixPath(name).name in TABLES for name in zipped.namelist())
    except zipfile.BadZipFile:
        return False


def is_competition(table: pd.DataFrame) -> bool:
    """Whether a CSV is the competition's: it names photos by `md5hash`, without paths."""
    return "md5hash" in table and not {"image_id", "path"} <= set(table)


def with_paths(csv: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Finds the photos of one of the competition's CSVs.

    Args:
        csv: The CSV; photos are looked for in its folder, and nowhere outside it.
        table: Its rows under their line numbers, with `image_id` and perhaps `label`.

    Returns:
        The table with `path` (absolute; empty where a problem is told), and the problems.
    """
    part, other = ("train", "test") if "label" in table else ("test", "train")
    ids = table["image_id"].tolist()
    labels = table["label"].tolist() if "label" in table else [""] * len(table)
    find = _finder(csv.parent, (*_FOLDERS[part], *_FOLDERS[other], ""))
    paths = []
    problems: defaultdict[str, list[str]] = defaultdict(list)
    for line, image_id, label in zip(table.index, ids, labels, strict=True):
        path, fault = find(image_id, label)
        paths.append(path)
        if fault:
            text = _FAULTS[fault].format(part=part, root=csv.parent)
            problems[fault].append(f"row {line}: md5hash {image_id!r} {text}")
    if len(problems[_ABSENT]) == len(table) > 1:
        problems[_ABSENT] = [
            f"has {len(table):,} rows, and no photo of theirs is below {csv.parent}. Unpack them "
            f"there, as {part}/{part}/…/<md5hash>.jpg."
        ]
    return table.assign(path=paths), told(csv, problems)


_ABSENT = "no photo"
_FAULTS = {
    _ABSENT: "has no photo {part}/{part}/<label>/<md5hash>.jpg; nor is it in {part}/, or without "
    "the label's folder. Put it below {root}, or delete the row.",
    "an md5hash that is no file name": "is no plain file name, and in the competition's layout no "
    "photo lies outside {root}. For photos elsewhere use the columns image_id, path, label.",
    "a photo that is a link leading out": "has a photo that is a link leading out of {root}. Put "
    "the photo there, or use the columns image_id, path, label.",
}


def _finder(root: Path, below: Sequence[str]) -> Callable[[str, str], tuple[str, str]]:
    """A function from md5hash and label to the photo's path, or "" and the kind of fault."""
    bases = [root / folder for folder in below]
    inside = root.resolve()

    @cache
    def folders(label: str) -> list[tuple[str, dict[str, bool]]]:
        places = [base / label for base in bases] if _is_name(label) else []
        return [(str(place), photos) for place in places + bases if (photos := listing(place))]

    @cache
    def leads_out(path: str) -> bool:
        return not Path(path).resolve().is_relative_to(inside)

    listing = cache(_photos)

    def find(image_id: str, label: str) -> tuple[str, str]:
        name = f"{image_id}.jpg"
        if not _is_name(name):
            return "", "an md5hash that is no file name"
        for folder, photos in folders(label):
            if name in photos:
                path = f"{folder}/{name}"
                if leads_out(path if photos[name] else folder):
                    return "", "a photo that is a link leading out"
                return path, ""
        return "", _ABSENT if image_id else ""  # an empty one is told with the other cells

    return find


def _photos(folder: Path) -> dict[str, bool]:
    """Names of the .jpg files in a folder -> whether it is a link; read in one go, not by row."""
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name: entry.is_symlink()
                for entry in entries
                if entry.name.endswith(".jpg") and entry.is_file()
            }
    except PermissionError:
        raise
    except OSError:  # no folder, or no name that a folder could have
        return {}


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _tables(folder: Path) -> list[Path]:
    return [folder / name for name in TABLES if (folder / name).is_file()]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _root_of_zip(archive: Path) -> Path:
    folder = _unzipped(archive)
    roots = [path for path in (folder, *_subfolders(folder)) if _tables(path)]
    if len(roots) != 1:
        raise UserError(
            f"{archive} holds {'no' if not roots else 'more than one'} train.csv or test.csv. "
            f"Expected the competition's zip. {GET_DATA}"
        )
    return roots[0]


def _unzipped(archive: Path) -> Path:
    made = archive.stat()
    mark = hashlib.sha256(f"{made.st_size} {made.st_mtime_ns}".encode()).hexdigest()[:8]
    folder = archive.with_name(f"{archive.stem}{_UNZIPPED}{mark}")
    if folder.is_dir():
        return folder
    temporary = archive.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = zipped.infolist()
            _refuse_unsafe(archive, members)
            temporary.mkdir()
            zipped.extractall(temporary)
        _put(temporary, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UserError(
            f"{archive} cannot be unpacked: {error}. Download it again, or unpack it by hand and "
            "name the folder with --data."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _put(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was quicker, and its folder is as good
            raise


def _refuse_unsafe(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    unsafe = [member.filename for member in members if _is_unsafe(member)]
    if unsafe:
        raise UserError(
            f"{archive} is refused, nothing was unpacked: {len(unsafe)} of its entries would land "
            f"outside its folder or are links. Received: {unsafe[0]!r}. Download it again from "
            "the competition's page."
        )
    size = sum(member.file_size for member in members)
    free = shutil.disk_usage(archive.parent).free
    if size > free:
        raise UserError(
            f"{archive} needs {size / 1e9:.1f} GB unpacked; {archive.parent} has {free / 1e9:.1f} "
            "GB free. Free some space, or move the zip to another disk."
        )


def _is_unsafe(member: zipfile.ZipInfo) -> bool:
    name = member.filename.replace("\\", "/")
    outside = PurePosixPath(name).is_absolute() or ".." in name.split("/") or ":" in name
    return outside or stat.S_ISLNK(member.external_attr >> 16)
