"""Shows where a run's networks look in photos, and how far those pictures can be trusted.

Writes overlays/<image_id>.png (the photo, and beside it what each method finds for the predicted
condition: green speaks for it, violet against it) and explain.json with every number, and prints a
table: deletion and insertion scores beside a random map's and, with --masks, the share of each map
on the lesion. A photo that the run knows is explained by the network that did not train on it.
Without PHOTOS, --split, --fold or --misclassified it takes any photos that the run held out.
--tone-audit changes only the skin's tone of each photo and counts the predictions that flip,
beside those that a colour change of the same size flips. --tone-probe lets a fresh, simple
classifier guess the tone band from the network's features: how much of it they hold, with --against
beside another run's. The pictures show the photos: mind their terms before you pass them on.
Research software: it makes no diagnosis.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ajl_tf.errors import UserError, memory_told, run_verb
from ajl_tf.process import import_tensorflow

if TYPE_CHECKING:
    from ajl_tf.explanation.choice import Wanted
    from ajl_tf.explanation.explaining import Subject

ANY_NETWORK = ("grad_cam", "shap", "occlusion")
ATTENTION = "attention"  # the method, and the pooling that it is of
METHODS = (*ANY_NETWORK, ATTENTION)
MORE_MEMORY = (
    "Its batches are small already: explain fewer photos (--limit), by one --method at a time, on "
    "a machine with more memory, or, where it was a GPU's, with CUDA_VISIBLE_DEVICES=-1 before the "
    "command."
)
EXAMPLES = 12  # photos of which the tone audit draws what it did


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb."""
    options = _parser().parse_args(argv)
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit must be at least 1. Received: {options.limit}")
    if options.against is not None and not options.tone_probe:
        raise UserError("--against compares tone probes: give --tone-probe as well.")
    out: Path = options.out or options.run / "explained"

    import_tensorflow()
    from ajl_tf.explanation.explaining import read_subject
    from ajl_tf.explanation.printed import ONE_VIEW, PHOTO_ALONE, photos_line
    from ajl_tf.pages.folder import check_folder, result_folder
    from ajl_tf.runs import open_run, write_json

    check_folder(out)
    run, experiment = open_run(options.run)
    methods = _methods(
        options.method, options.tone_audit or options.tone_probe, experiment.model.pooling
    )
    if "shap" in methods:
        from ajl_tf.explanation.methods import load_shap

        load_shap()
    wanted, other = _wanted(options), None
    subject = read_subject(run, experiment, wanted, options.masks)
    if options.against is not None:
        its_run, its = open_run(options.against)
        other = its_run, its.input_size, read_subject(its_run, its, wanted)
    print(photos_line(subject.rows))
    if experiment.model.metadata:
        print(PHOTO_ALONE)
    if experiment.model.views != "none":
        print(ONE_VIEW)
    with result_folder(out) as folder, memory_told(MORE_MEMORY):
        report = _about(run, options, methods)
        if methods:
            report |= _explain(run, experiment.input_size, subject, methods, folder)
        if options.tone_audit:
            report["tone_audit"] = _audit(run, experiment.input_size, subject, folder)
        if options.tone_probe:
            report["tone_probe"] = _probe((run, experiment.input_size, subject), other)
        write_json(folder / "explain.json", report)
        made = sorted({path.name for path in folder.iterdir()} - {"explain.json"})
    print(f"numbers   {out / 'explain.json'}")
    for name in made:
        print(f"{'pictures' if (out / name).is_dir() else 'table':<9} {out / name}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ajl_tf.explain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="a folder under experiments/runs/")
    parser.add_argument(
        "photos", nargs="*", type=Path, metavar="PHOTOS", help="photo files, folders of them, CSVs"
    )
    parser.add_argument(
        "--split",
        choices=("validation", "test"),
        type=lambda name: "validation" if name == "val" else name,
        help="photos of this part of the run's split; val is short for validation",
    )
    parser.add_argument("--fold", type=int, metavar="I", help="photos of this fold of the run")
    parser.add_argument(
        "--misclassified",
        action="store_true",
        help="only photos that the run's predictions.csv gets wrong, the most confident first",
    )
    parser.add_argument(
        "--method",
        metavar="NAMES",
        help=f"any of {','.join(METHODS)} (default: all that the network has; none with a --tone- "
        'option). attention is of model.pooling = "attention"; shap needs '
        'pip install "ajl_tf[explain]"',
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many photos")
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="folder of <image_id>.png, white where the lesion is: data/drawn/masks of a drawn set",
    )
    parser.add_argument(
        "--tone-audit", action="store_true", help="change only the skin's tone; count the flips"
    )
    parser.add_argument(
        "--tone-probe", action="store_true", help="guess the tone band from the features"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="RUN",
        help="with --tone-probe: a run to compare with, on the photos that both held out",
    )
    parser.add_argument(
        "--data",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help="where the run's photos are, as for train, if they were moved",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the results (default: RUN/explained). One of an earlier explain is "
        "brought up to date; files that you made or changed are never replaced",
    )
    return parser


def _methods(text: str | None, tone: bool, pooling: str) -> tuple[str, ...]:
    has_attention = pooling == ATTENTION
    if text is None:
        return () if tone else METHODS if has_attention else ANY_NETWORK
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if set(names) - set(METHODS):
        raise UserError(f"--method takes any of {','.join(METHODS)}. Received: {text!r}")
    if ATTENTION in names and not has_attention:
        raise UserError(
            "--method attention shows what the pooling learned to look at, and this run has "
            f"model.pooling = {pooling!r}, which weighs all places alike. Leave it out, or train "
            "with --set model.pooling=attention."
        )
    return names


def _wanted(options: argparse.Namespace) -> Wanted:
    from ajl_tf.explanation.choice import Wanted

    return Wanted(
        tuple(options.photos),
        options.split,
        options.fold,
        options.misclassified,
        options.limit,
        tuple(options.data),
    )


def _about(run: Path, options: argparse.Namespace, methods: Sequence[str]) -> dict[str, Any]:
    from ajl_tf import __version__

    return {
        "version": __version__,
        "run": run.resolve().name,
        "chosen": {
            "photos": [str(path) for path in options.photos],
            "split": options.split,
            "fold": options.fold,
            "misclassified": options.misclassified,
            "limit": options.limit,
        },
        "methods": list(methods),
    }


def _explain(
    run: Path, input_size: int, subject: Subject, methods: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Draws the overlays, prints the tables and returns the numbers."""
    from ajl_tf.explanation.printed import NO_PROOF, maps_table, photo_table
    from ajl_tf.explanation.publish import explain_all
    from ajl_tf.explanation.summaries import summarise_maps

    records, curves = explain_all(run, input_size, subject, methods, folder / "overlays")
    summary = summarise_maps(records, curves)
    print(f"\n{photo_table(records)}\n\n{maps_table(summary)}\n\n{NO_PROOF}\n")
    return {"summary": summary, "photos": records}


def _audit(run: Path, input_size: int, subject: Subject, folder: Path) -> dict[str, Any]:
    """Audits, writes the table, prints the summary and returns it."""
    from ajl_tf.explanation.printed import audit_table
    from ajl_tf.explanation.publish import audit_all
    from ajl_tf.explanation.summaries import summarise_audit
    from ajl_tf.files import write_text

    table = audit_all(run, input_size, subject, folder / "tones", EXAMPLES)
    write_text(folder / "tone_audit.csv", table.to_csv(index=False, lineterminator="\n"))
    summary = summarise_audit(table, len(subject.rows) - table["image_id"].nunique())
    print(f"\n{audit_table(summary)}\n")
    return summary


def _probe(
    own: tuple[Path, int, Subject], other: tuple[Path, int, Subject] | None
) -> dict[str, Any]:
    """Probes, beside another run if there is one; prints what it found and returns it."""
    from ajl_tf.explanation.printed import probe_table
    from ajl_tf.explanation.publish import guess_tones
    from ajl_tf.explanation.tone_probe import compare_probes, summarise_probe

    guessed = guess_tones(*own)
    told = summarise_probe(guessed)
    if other is not None:
        compared = compare_probes(guessed, guess_tones(*other))
        told["against"] = {"run": other[0].resolve().name, **compared}
    print(f"\n{probe_table(told)}\n")
    return told


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
