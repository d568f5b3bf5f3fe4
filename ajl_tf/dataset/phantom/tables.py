"""The text files of a drawn set: the competition's three CSVs, the answers, and a README."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np

from ajl_tf.dataset.phantom.kinds import KINDS
from ajl_tf.dataset.phantom.plan import Photo

Row = dict[str, str]

TRAIN_COLUMNS = (
    "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,"
    "three_partition_label,qc,ddi_scale"
)
TEST_COLUMNS = "md5hash,fitzpatrick_scale,fitzpatrick_centaur,qc,ddi_scale"
SUBMISSION_COLUMNS = "md5hash,label"
TRUTH_COLUMNS = "md5hash,split,label,kind,tone,copy_of,change"

_DDI_SCALE = {-1: "-1", 1: "12", 2: "12", 3: "34", 4: "34", 5: "56", 6: "56"}

_README = """\
ALL PHOTOS IN THIS FOLDER ARE DRAWN.

A program computed them from a seed: there is no photo of a person in here, and no statistic of
such photos either. The {kinds} labels are inventions ("drawn-..."), and so are the skin tones, the
second opinions and the remarks on quality. Use the set to see that a program runs and learns.
A score measured on it proves nothing about dermatology, about a skin condition or about a skin
tone, and must not be quoted as if it did.

Drawn by: python -m ajl_tf.draw OUT --images {images} --size {size} --seed {seed}

train.csv, test.csv, sample_submission.csv, train/train/<label>/<md5hash>.jpg and
test/test/<md5hash>.jpg are laid out as the competition's data are.

  fitzpatrick_scale    the tone that was drawn, 1 to 6; -1 where the set withholds it
  fitzpatrick_centaur  a second, noisy opinion on the tone; -1 unknown
  ddi_scale            the band of fitzpatrick_scale: 12, 34, 56; -1 unknown
  qc                   mostly empty; "3 Wrongly labelled" on some copies that are

Beside them, and not in the competition's data:

  masks/<md5hash>.png      where the lesion is (255) in each photo, training and test
  drawn_test_labels.csv    the answers for test.csv, in the form of a submission
  drawn_truth.csv          of each photo: split, label, the kind and tone that were drawn, and of a
                           copy its original and the change: exact, re-encoded, mirrored, brightened

{copies} photos are copies, {across} of them in the other split than their original, and {wrong} of
them carry a wrong label. A split of the training photos should keep copies together.
"""


def text_files(photos: Sequence[Photo], images: int, size: int, seed: int) -> dict[str, str]:
    """File name -> text; `images`, `size` and `seed` are what the set was drawn with."""
    rows = [_row(photo) for photo in photos]
    train = [row for row in rows if row["split"] == "train"]
    test = [row for row in rows if row["split"] == "test"]
    splits = {row["md5hash"]: row["split"] for row in rows}
    copies = [row for row in rows if row["copy_of"]]
    readme = _README.format(
        kinds=len(KINDS),
        images=images,
        size=size,
        seed=seed,
        copies=len(copies),
        across=sum(splits[row["copy_of"]] != row["split"] for row in copies),
        wrong=sum(row["label"] != row["kind"] for row in rows),
    )
    return {
        "README.txt": readme,
        "train.csv": _csv(TRAIN_COLUMNS, train),
        "test.csv": _csv(TEST_COLUMNS, test),
        "sample_submission.csv": _csv(SUBMISSION_COLUMNS, _guesses(test, seed)),
        "drawn_test_labels.csv": _csv(SUBMISSION_COLUMNS, test),
        "drawn_truth.csv": _csv(TRUTH_COLUMNS, rows),
    }


def _row(photo: Photo) -> Row:
    """Every column that any of the CSVs has."""
    return {
        "md5hash": photo.image_id,
        "split": photo.split,
        "fitzpatrick_scale": str(photo.stated_tone),
        "fitzpatrick_centaur": str(photo.second_tone),
        "label": photo.label,
        "nine_partition_label": KINDS[photo.label].nine,
        "three_partition_label": KINDS[photo.label].three,
        "qc": photo.qc,
        "ddi_scale": _DDI_SCALE[photo.stated_tone],
        "kind": photo.kind,
        "tone": str(photo.tone),
        "copy_of": photo.copy_of,
        "change": photo.change,
    }


def _guesses(test: Sequence[Row], seed: int) -> list[Row]:
    """Random labels, in another order than test.csv, as in the competition's sample."""
    rng = np.random.default_rng([seed, 2])
    labels = list(KINDS)
    order = rng.permutation(len(test))
    return [{**test[row], "label": labels[rng.integers(len(labels))]} for row in order]


def _csv(columns: str, rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns.split(","), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
