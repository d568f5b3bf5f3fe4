"""Scores predictions overall and on every skin tone, with intervals, and prints a table.

Takes a run's folder or a predictions.csv from any framework: image_id and predicted, and label,
skin_tone and group_id in the same file or in a manifest (--manifest). Writes report.json into the
run's folder, or <name>.report.json beside a CSV.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from ajl_tf.errors import UserError, listed, run_verb
from ajl_tf.files import write_text

RESULTS = Path("experiments/results")
KEPT = ("config.toml", "environment.json", "report.json")  # scores only, nothing of one photo


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table, writes the report, and keeps a summary where asked."""
    options = _parser().parse_args(argv)
    source: Path = options.predictions
    if options.keep is not None:
        _check_keep(options.keep, source, options.out)

    import json

    from ajl_tf.assessment.predictions import (
        join_manifest,
        read_manifest_columns,
        read_predictions,
    )
    from ajl_tf.assessment.report import format_table, make_report

    predictions = read_predictions(_csv_of(source))
    if options.manifest is not None:
        predictions = join_manifest(predictions, read_manifest_columns(options.manifest))
    report = make_report(predictions)
    print(format_table(report))

    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    name = "report.json" if source.is_dir() else f"{source.stem}.report.json"
    folder = options.out or (source if source.is_dir() else source.parent)
    _write_all({folder / name: text})
    print(f"report: {folder / name}")
    if options.keep is not None:
        target = RESULTS / options.keep
        _write_all({target / kept: (source / kept).read_text(encoding="utf-8") for kept in KEPT})
        print(f"kept: {target}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ajl_tf.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", type=Path, help="a run's folder, or a predictions.csv")
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        type=Path,
        help="CSV with image_id and label, skin_tone or group_id to add",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for the report")
    parser.add_argument(
        "--keep",
        metavar="NAME",
        help=f"copy the run's {', '.join(KEPT)} to {RESULTS}/NAME (no photo, no single prediction)",
    )
    return parser


def _csv_of(source: Path) -> Path:
    if not source.exists():
        raise UserError(
            f"{source} does not exist; a run's folder or a predictions.csv was expected."
        )
    path = source / "predictions.csv" if source.is_dir() else source
    if not path.is_file():
        raise UserError(
            f"{source} has no predictions.csv, so it is no finished run. Give a folder under "
            "experiments/runs/, or a CSV file."
        )
    return path


def _check_keep(name: str, source: Path, out: Path | None) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(
            f"--keep takes a name of letters, digits, '.', '_' and '-'. Received: {name!r}."
        )
    if not source.is_dir() or out is not None:
        raise UserError(
            f"--keep copies {', '.join(KEPT)} from a run's folder: give such a folder, and no "
            f"--out. Received: {source}."
        )
    missing = [kept for kept in KEPT if kept != "report.json" and not (source / kept).is_file()]
    if missing:
        raise UserError(f"{source} lacks {', '.join(missing)}, so its summary cannot be kept.")


def _write_all(texts: dict[Path, str]) -> None:
    """Writes files that are not there yet; one that is must say the same, else none is written."""
    differ = [str(path) for path, text in texts.items() if path.exists() and not _says(path, text)]
    if differ:
        raise UserError(
            "these files exist and say something else; nothing was overwritten. Move them, or name "
            f"another place:\n{listed(differ)}"
        )
    for path, text in texts.items():
        if not path.exists():
            write_text(path, text, overwrite=False)


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode("utf-8")


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
