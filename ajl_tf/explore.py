"""Shows what is in the data, and what is wrong with it, before anything is trained on it.

Writes explore.html, a page that opens in any browser and loads nothing from anywhere; explore.json
with every number; the figures; and CSVs of what was found: photos, manifest (with the group_id that
keeps duplicates together), duplicates, quality, tone, doubts, leaks. It proposes and drops nothing.
The page shows no photo unless --with-images puts small copies into it. Where there is a split,
named with --split or in a column split or fold of the data itself, it is checked: the exit code is
1 where photos that belong together stand on two of its sides.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ajl_tf.errors import run_verb

if TYPE_CHECKING:
    from ajl_tf.inspection.overview import Summary

RESULTS = Path("data/explored")  # below data/, which git ignores
EXIT_LEAKS = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Explores, writes the folder and says what to look at first."""
    options = _parser().parse_args(argv)
    out: Path = options.out or RESULTS / _title(options.data)

    from ajl_tf.assessment.predictions import read_predictions
    from ajl_tf.dataset.manifest import read_manifest
    from ajl_tf.inspection.exploration import explore
    from ajl_tf.inspection.leaks import read_split
    from ajl_tf.inspection.publish import publish
    from ajl_tf.pages.folder import check_folder, result_folder

    check_folder(out)
    predictions = read_predictions(options.predictions) if options.predictions else None
    split = read_split(options.split) if options.split else None
    manifest = read_manifest(options.data, labels=False)
    exploration = explore(manifest, options.cache, predictions, split)
    with result_folder(out) as folder:
        publish(folder, exploration, _about(options))
        names = sorted(path.name for path in folder.glob("*.csv"))
    _tell(exploration.findings, out, names, options.with_images)
    leaks = exploration.findings["leaks"]
    return EXIT_LEAKS if leaks and leaks["groups"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ajl_tf.explore",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "data",
        nargs="+",
        type=Path,
        metavar="DATA",
        help="the competition's folder or zip, or any CSV with image_id, path and perhaps label, "
        "skin_tone, group_id",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder for the results (default: {RESULTS}/<name of the data>). A folder of an "
        "earlier explore is brought up to date; files that you made or changed are never replaced",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="CSV",
        help="predictions.csv of photos that the model was not trained on, for the label doubts",
    )
    parser.add_argument(
        "--with-images",
        action="store_true",
        help="put small copies of photos into the page: sample photos, duplicates, doubts",
    )
    parser.add_argument(
        "--split",
        type=Path,
        metavar="CSV",
        help="a split (image_id and split or fold) to check for leaks, instead of such a column of "
        "the data",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        default=Path("data/.cache"),
        help="keeps what was measured of each photo, so that the next time takes seconds "
        "(default: %(default)s)",
    )
    return parser


def _title(data: Sequence[Path]) -> str:
    return "+".join(path.resolve().stem for path in data)


def _about(options: argparse.Namespace) -> Summary:
    from datetime import datetime

    from ajl_tf import __version__

    return {
        "title": _title(options.data),
        "sources": [str(path) for path in options.data],
        "predictions": str(options.predictions) if options.predictions else None,
        "split": str(options.split) if options.split else None,
        "with_images": options.with_images,
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "version": __version__,
    }


def _tell(findings: Summary, out: Path, names: Sequence[str], with_images: bool) -> None:
    from ajl_tf.inspection.publish import cards

    for value, words, _, kind in cards(findings):
        print(f"{value:>8}  {words}{'  <- look' if kind else ''}")
    if findings["leaks"]:
        print(findings["leaks"]["statement"])
    print(f"page      {out / 'explore.html'}")
    print(f"numbers   {out / 'explore.json'}, {out / 'figures'}/")
    print(f"tables    {', '.join(names)}")
    if with_images:
        print("The page holds small copies of photos of people: keep it as you keep the photos.")
    else:
        print("The page shows no photo, because people are on them: --with-images adds them.")


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
