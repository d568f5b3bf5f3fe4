"""Scores predictions overall and on every skin tone, with intervals, and prints a table.

Takes a run's folder, a predictions.csv from any framework (image_id and predicted, and perhaps
label, prob_<label>, skin_tone and group_id) or a submission to the competition (md5hash,label).
What a file lacks is joined from a manifest (--manifest; a run has its own). Writes report.json into
the run's folder, or <name>.report.json beside a CSV. --against compares two models on the same
photos, and lists the photos on which they differ.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ajl_tf.errors import UserError, listed, run_verb
from ajl_tf.files import write_text

if TYPE_CHECKING:
    import pandas as pd

RESULTS = Path("experiments/results")
KEPT = ("config.toml", "environment.json", "report.json")  # scores only, nothing of one photo


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table, writes the report, and keeps a summary where asked."""
    options = _parser().parse_args(argv)
    source: Path = options.predictions
    if options.keep is not None:
        _check_keep(options.keep, source, options.out)

    from ajl_tf.assessment.report import format_table, make_report

    predictions, photos = _read(source, options.manifest, options.by)
    report = make_report(predictions, photos, by=options.by)
    print(format_table(report))
    folder = options.out or (source if source.is_dir() else source.parent)
    start = "" if source.is_dir() else f"{source.stem}."
    made = {folder / f"{start}report.json": _json(report)}
    if options.against is not None:
        other, _ = _read(options.against, options.manifest, ())
        made |= _compare(predictions, other, options.against, folder, start)
    _write_all(made, replace=True)
    for path in made:
        print(f"{path.name.removeprefix(start).partition('.')[0]}: {path}")
    if options.keep is not None:
        target = RESULTS / options.keep
        kept = {target / name: (source / name).read_text(encoding="utf-8") for name in KEPT}
        _write_all(kept, replace=False)
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
        action="append",
        default=[],
        help="CSV with image_id and label, skin_tone, group_id, the label tree (…_partition_label) "
        "or columns for --by to add, such as the competition's train.csv; may be repeated",
    )
    parser.add_argument(
        "--by",
        metavar="COLUMN",
        action="append",
        default=[],
        help="also divide the photos by this column of the predictions or the manifest, e.g. "
        "fitzpatrick_centaur; may be repeated",
    )
    parser.add_argument(
        "--against",
        metavar="OTHER",
        type=Path,
        help="another run's folder or predictions.csv, of the same photos, to compare with",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for the report")
    parser.add_argument(
        "--keep",
        metavar="NAME",
        help=f"copy the run's {', '.join(KEPT)} to {RESULTS}/NAME (no photo, no single prediction)",
    )
    return parser


def _read(
    source: Path, manifests: Sequence[Path], by: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Predictions with what the manifests add; and the manifests, one below the other."""
    import pandas as pd

    from ajl_tf.assessment.predictions import (
        join_manifest,
        read_manifest_columns,
        read_predictions,
    )

    predictions = read_predictions(_csv_of(source))
    own = source / "manifest.csv"
    tables = [read_manifest_columns(own)] if source.is_dir() and own.is_file() else []
    if manifests:
        tables.append(pd.concat([read_manifest_columns(path) for path in manifests]))
    for table in tables:
        predictions = join_manifest(predictions, table, by)
    return predictions, pd.concat(tables, ignore_index=True) if tables else None


def _compare(
    predictions: pd.DataFrame, other: pd.DataFrame, source: Path, folder: Path, start: str
) -> dict[Path, str]:
    """Prints the comparison; returns the files to write."""
    from ajl_tf.assessment.against import compare_models, differing_photos
    from ajl_tf.assessment.pairing import paired
    from ajl_tf.assessment.printed import format_comparison

    pair = paired(predictions, other, str(source))
    comparison = compare_models(pair)
    print(f"\nagainst {source}")
    print(format_comparison(comparison))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.resolve().name.removesuffix(".csv"))
    lines: str = differing_photos(pair).to_csv(index=False, lineterminator="\n")
    return {
        folder / f"{start}against_{name}.json": _json(comparison),
        folder / f"{start}against_{name}.csv": lines,
    }


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


def _write_all(texts: dict[Path, str], *, replace: bool) -> None:
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


def _json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
