"""Scores predictions overall and on every skin tone, with intervals, and prints a table.

Takes a run's folder, a predictions.csv from any framework (image_id and predicted, and perhaps
label, prob_<label>, skin_tone and group_id) or a submission to the competition (md5hash,label).
What a file lacks is joined from a manifest (--manifest; a run has its own). Writes report.json into
the run's folder, or <name>.report.json beside a CSV; report.html, a page that opens in any browser
and loads nothing from anywhere; and its figures. --against compares two models on the same photos,
and lists the photos on which they differ. The page shows no photo unless --with-images puts small
copies into it.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ajl_tf.errors import UserError, run_verb
from ajl_tf.files import check_name

if TYPE_CHECKING:
    import pandas as pd

    from ajl_tf.reporting.publish import Against, Pictures, Place

RESULTS = Path("experiments/results")
KEPT = ("config.toml", "environment.json", "report.json")  # scores only, nothing of one photo


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table, writes the report, and keeps a summary where asked."""
    options = _parser().parse_args(argv)
    source: Path = options.predictions
    if options.keep is not None:
        _check_keep(options.keep, source, options.out)
    if options.overlays is not None and not options.with_images:
        raise UserError("--overlays goes with --with-images: it says where pictures for it are.")

    from ajl_tf.assessment.report import format_table, make_report

    predictions, photos = _read(source, options.manifest, options.by)
    pictures = _pictures(options, photos) if options.with_images else None
    report = make_report(predictions, photos, by=options.by)
    print(format_table(report), flush=True)  # before the page, which takes seconds

    from ajl_tf.reporting.answers import as_json, write_all
    from ajl_tf.reporting.publish import Place, check_place, publish

    folder = options.out or (source if source.is_dir() else source.parent)
    place = Place(folder, "" if source.is_dir() else f"{source.stem}.")
    made = {folder / f"{place.start}report.json": as_json(report)}
    against = None
    if options.against is not None:
        other, _ = _read(options.against, options.manifest, ())
        against, files = _compare(predictions, other, options.against, place)
        made |= files
    check_place(place)
    write_all(made, replace=True)
    title = source.resolve().name
    publish(place, title, report, predictions, against=against, pictures=pictures)
    for path in made:
        print(f"{path.name.removeprefix(place.start).partition('.')[0]}: {path}")
    print(f"page: {place.page}")
    print(f"figures: {place.figures}")
    if options.keep is not None:
        target = RESULTS / options.keep
        write_all({target / name: text for name, text in _kept(source).items()}, replace=False)
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
        "--with-images",
        action="store_true",
        help="put small copies of photos into the page (mistakes, photos on which two models "
        "differ), or what explain drew of them; a manifest says where the photos are",
    )
    parser.add_argument(
        "--overlays",
        metavar="DIR",
        type=Path,
        help="with --with-images: folder of pictures <image_id>.png of where the model looked "
        "(default: what explain made in the run's folder)",
    )
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

    def read(path: Path) -> pd.DataFrame:
        table = read_manifest_columns(path)
        if "path" in table:  # relative ones start at the manifest
            table["path"] = table["path"].map(lambda p: str(path.parent / p), na_action="ignore")
        return table

    own = source / "manifest.csv"
    tables = [read(own)] if source.is_dir() and own.is_file() else []
    if manifests:
        tables.append(pd.concat([read(path) for path in manifests]))
    for table in tables:
        predictions = join_manifest(predictions, table, by)
    return predictions, pd.concat(tables, ignore_index=True) if tables else None


def _compare(
    predictions: pd.DataFrame, other: pd.DataFrame, source: Path, place: Place
) -> tuple[Against, dict[Path, str]]:
    """Prints the comparison; returns it and the files to write."""
    from ajl_tf.assessment.against import compare_models, differing_photos
    from ajl_tf.assessment.pairing import paired
    from ajl_tf.assessment.printed import format_comparison
    from ajl_tf.dataset.formulas import harmless_texts
    from ajl_tf.reporting.answers import as_json
    from ajl_tf.reporting.publish import Against

    pair = paired(predictions, other, str(source))
    comparison, photos = compare_models(pair), differing_photos(pair)
    print(f"\nagainst {source}")
    print(format_comparison(comparison))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.resolve().name.removesuffix(".csv"))
    table = place.folder / f"{place.start}against_{name}.csv"
    told = harmless_texts(photos, but=photos.select_dtypes("number").columns.tolist())
    lines: str = told.to_csv(index=False, lineterminator="\n")
    files = {table.with_suffix(".json"): as_json(comparison), table: lines}
    return Against(source.resolve().name, comparison, photos, table.name), files


def _pictures(options: argparse.Namespace, photos: pd.DataFrame | None) -> Pictures:
    """The photos that a manifest names, and what explain drew of them where it did."""
    from ajl_tf.files import photo_file
    from ajl_tf.reporting.publish import Pictures

    if photos is None or "path" not in photos or photos["path"].isna().all():
        raise UserError(
            "--with-images needs to know where the photos are. Give --manifest a CSV with image_id "
            "and path, such as manifest.csv of a run or of explore; a run that has its own needs "
            "none."
        )
    known = photos.dropna(subset="path")
    paths = dict(zip(known["image_id"], map(Path, known["path"]), strict=True))
    source: Path = options.predictions
    maps: Path = options.overlays or source / "explained" / "overlays"
    if options.overlays is not None and not maps.is_dir():
        raise UserError(f"--overlays: {maps} is no folder of pictures <image_id>.png.")
    drawn = {image_id: photo_file(maps, image_id) for image_id in paths} if maps.is_dir() else {}
    return Pictures(paths, {image_id: path for image_id, path in drawn.items() if path.is_file()})


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
    check_name(name, "--keep")
    if not source.is_dir() or out is not None:
        raise UserError(
            f"--keep copies {', '.join(KEPT)} from a run's folder: give such a folder, and no "
            f"--out. Received: {source}."
        )
    missing = [kept for kept in KEPT if kept != "report.json" and not (source / kept).is_file()]
    if missing:
        raise UserError(f"{source} lacks {', '.join(missing)}, so its summary cannot be kept.")


def _kept(run: Path) -> dict[str, str]:
    """Name -> text; of a local weights file its name, without the folders of one machine."""
    texts = {name: (run / name).read_text(encoding="utf-8") for name in KEPT}
    try:
        weights = str(tomllib.loads(texts["config.toml"])["model"]["weights"])
    except (tomllib.TOMLDecodeError, LookupError, TypeError) as error:
        raise UserError(f"{run / 'config.toml'} is not as a run leaves it ({error}).") from None
    written = json.dumps(weights, ensure_ascii=False)[1:-1]  # as in the TOML and in the JSON
    return {name: text.replace(written, Path(weights).name) for name, text in texts.items()}


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
