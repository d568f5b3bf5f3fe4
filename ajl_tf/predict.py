"""Predicts every photo of a folder or CSV with a SavedModel, and writes a submission if asked.

The column unlike says how unlike anything known a photo is, from 0 to 1 (a SavedModel of an older
version has none: export its run again). A model that takes metadata finds them in the CSV's columns
of these names, or in those of --metadata; what is missing is unknown. A photo that cannot be
decoded is listed in <out>.errors.csv and the rest goes on; the exit code is then 1. A CSV whose
photos are not there is refused before anything is read. A command that was ended is gone on with by
--resume. Research software: it makes no diagnosis.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ajl_tf.errors import UserError, memory_told, run_verb
from ajl_tf.process import import_tensorflow
from ajl_tf.serving.unfinished import places, under_way

EXIT_SOME_UNREADABLE = 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ajl_tf.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a SavedModel, saved_models/<name>/<version>")
    parser.add_argument(
        "photos",
        type=Path,
        help="a folder of photos, a CSV with image_id and path, or the competition's folder "
        "(then its test.csv counts)",
    )
    parser.add_argument("--out", type=Path, required=True, help="predictions.csv to write")
    parser.add_argument(
        "--metadata",
        type=Path,
        metavar="CSV",
        help="image_id (of a folder's photo: its path there, without suffix) and columns that the "
        "model takes beside photos",
    )
    parser.add_argument(
        "--submission", type=Path, help="also write md5hash,label for every id of test.csv"
    )
    parser.add_argument(
        "--shard", metavar="I/N", default="0/1", help="only the I-th (from 0) of N equal parts"
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="answer in N processes, which Ray runs here or on the cluster that RAY_ADDRESS names "
        "(extra ray)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=32,
        metavar="B",
        help="photos at once (default: %(default)s)",
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="faster on processors that have it; probabilities change by up to 0.05",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with this command, which was ended: what stands in <out>.unfinished is kept",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb."""
    arguments = _parser().parse_args(argv)
    shard, shards = _shard(arguments.shard)
    errors_csv = arguments.out.with_name(arguments.out.name + ".errors.csv")
    for path in (arguments.out, errors_csv, arguments.submission):
        if path is not None and path.exists():
            raise UserError(
                f"{path} exists already and is not overwritten. Name another, or move it."
            )
    # Under another name until it is whole: what a broken run leaves is no predictions.csv.
    unfinished, state = places(arguments.out)
    if unfinished.exists() and not arguments.resume:
        raise UserError(
            f"{unfinished} exists already: a predict that was ended left it. Go on with it by the "
            "same command with --resume, or move it."
        )
    if arguments.submission == arguments.out:
        raise UserError(f"--out and --submission must differ. Received for both: {arguments.out}")
    if arguments.batch_size < 1:
        raise UserError(f"--batch-size must be at least 1. Received: {arguments.batch_size}")
    if arguments.workers is not None and arguments.workers < 1:
        raise UserError(f"--workers must be at least 1. Received: {arguments.workers}")
    if arguments.submission and shards > 1:
        raise UserError(
            "a submission needs every photo; leave --shard out, or submit after merging."
        )

    from ajl_tf.dataset.listing import photos_to_predict, test_ids

    rows = photos_to_predict(arguments.photos)
    wanted = test_ids(arguments.photos) if arguments.submission else []
    if strangers := sorted(set(wanted) - set(rows["image_id"])):
        raise UserError(
            f"a submission needs every id of test.csv, and {len(strangers)} of {len(wanted)} are "
            f"not among the photos, the first is {strangers[0]}."
        )

    import_tensorflow()
    from ajl_tf.assessment.predictions import prediction_lines
    from ajl_tf.files import put_new, write_rows
    from ajl_tf.serving.answering import about, empty_table, write_answers
    from ajl_tf.serving.batch import predict_photos
    from ajl_tf.serving.precision import answer_in_bfloat16
    from ajl_tf.serving.recorded import columns_taken, known_words, texts_of, with_table
    from ajl_tf.serving.savedmodel import load
    from ajl_tf.serving.spread import check_ray, predict_spread

    if arguments.workers is not None:
        check_ray()

    if arguments.bfloat16:
        answer_in_bfloat16()
    model = load(arguments.model)
    empty = empty_table(rows, model, arguments.photos)
    columns = columns_taken(model)
    if arguments.metadata is not None:
        rows = with_table(rows, arguments.metadata, columns)
    rows = rows.iloc[len(rows) * shard // shards : len(rows) * (shard + 1) // shards]
    texts = texts_of(rows, columns)
    for line in known_words(rows, columns, texts):
        print(f"metadata     {line}")
    header = prediction_lines(empty, header=True)
    of = about(arguments.model, rows, header, bfloat16=arguments.bfloat16)
    size = arguments.batch_size
    with (
        memory_told(_smaller(size)),
        under_way(arguments.out, of, header, resume=arguments.resume) as written,
    ):
        paths = rows["path"].tolist()[written.photos :]
        left = {name: cells[written.photos :] for name, cells in texts.items()} or None
        if arguments.workers is None:
            answers = predict_photos(model, paths, size, left)
        else:
            answers = predict_spread(
                *(arguments.model, paths, size, left, arguments.workers),
                bfloat16=arguments.bfloat16,
            )
        write_answers(model, rows, empty, answers, written)
    errors = [(*rows[["image_id", "path"]].iloc[row], reason) for row, reason in written.errors]
    if errors:
        write_rows(errors_csv, ("image_id", "path", "reason"), errors)
    try:
        put_new(unfinished, arguments.out)
    except UserError as error:
        error.add_note(f"It was made meanwhile. What this command predicted is in {unfinished}.")
        raise
    unfinished.unlink(missing_ok=True)
    state.unlink()
    print(f"predictions  {arguments.out} ({len(rows) - len(errors)} of {len(rows)} photos)")
    if "unlike" in empty:
        threshold = float(model.unlike_threshold)
        print(f"unlike       {written.strange} photos above {threshold:.3f}: unlike anything known")
    if errors:
        print(f"unreadable   {errors_csv} ({len(errors)} photos)", file=sys.stderr)
    if arguments.submission:
        predicted = _predicted(arguments.out)
        missing = [image_id for image_id in wanted if image_id not in predicted]
        if missing:
            raise UserError(
                f"no submission was written: {len(missing)} of {len(wanted)} photos of test.csv "
                f"could not be read, the first is {missing[0]}. See {errors_csv}."
            )
        write_rows(
            arguments.submission, ("md5hash", "label"), [(key, predicted[key]) for key in wanted]
        )
        print(f"submission   {arguments.submission} ({len(wanted)} ids, in the order of test.csv)")
    return EXIT_SOME_UNREADABLE if errors else 0


def _smaller(batch_size: int) -> str:
    """What to do where the memory was too small for a batch."""
    if batch_size == 1:
        return "The batch is 1 photo already: use a machine with more memory, or a smaller model."
    return (
        f"--batch-size is {batch_size}. Run the command again with --batch-size {batch_size // 2}."
    )


def _predicted(predictions: Path) -> dict[str, str]:
    """The label of each id."""
    with predictions.open(encoding="utf-8", newline="") as file:
        return {row["image_id"]: row["predicted"] for row in csv.DictReader(file)}


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not int(match[1]) < int(match[2]):
        raise UserError(f"--shard takes I/N with I from 0 to N-1, as in 0/4. Received: {text!r}")
    return int(match[1]), int(match[2])


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
