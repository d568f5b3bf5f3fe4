"""Writes reports as JSON, all files or none, over earlier answers and over nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ajl_tf.errors import UserError, listed
from ajl_tf.files import write_text


def write_all(texts: Mapping[Path, str], *, replace: bool) -> None:
    """Writes files, all or none: one that is there and says something else stops them.

    With `replace`, one that is an earlier answer of this command makes place.
    """
    differ = [
        str(path)
        for path, text in texts.items()
        if path.exists() and not _says(path, text) and not (replace and _is_ours(path))
    ]
    if differ:
        raise UserError(
            "these files exist and say something else; nothing was overwritten. Move them, or name "
            f"another place:\n{listed(differ)}"
        )
    for path, text in texts.items():
        if not _says(path, text):
            write_text(path, text, overwrite=path.exists())


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode("utf-8")


def _is_ours(path: Path) -> bool:
    """Whether a file is an earlier report or comparison, which the predictions can make again."""
    try:
        if path.suffix == ".csv":
            header = path.read_text(encoding="utf-8").partition("\n")[0]
            return header.startswith("image_id,label,first,second,right")
        known: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a folder, no text, no JSON
        return False
    return isinstance(known, dict) and {"schema", "overall", "interval"} <= set(known)


def as_json(report: Mapping[str, Any]) -> str:
    """Indented JSON; NaN is refused rather than written."""
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
