"""The label tree: what is mapped, summed and refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ajl_tf.assessment.tree import LEVELS, levels, read_tree
from ajl_tf.errors import UserError

ROWS = pd.DataFrame(
    {
        "label": ["wart", "melanoma", "wart", "nevus", None],
        "nine_partition_label": ["b-epi", "m-mel", "b-epi", "b-mel", "b-epi"],
        "three_partition_label": ["benign", "malignant", None, "benign", "benign"],
    }
)


def test_labels_go_to_the_partition_that_their_rows_name() -> None:
    tree = read_tree(ROWS)
    assert tree[LEVELS[0]] == {"wart": "b-epi", "melanoma": "m-mel", "nevus": "b-mel"}
    made, notes = levels(tree, ["melanoma", "nevus", "wart"])
    assert notes == []
    assert [level.partitions for level in made] == [
        ("b-epi", "b-mel", "m-mel"),
        ("benign", "malignant"),
    ]
    assert made[1].parent.tolist() == [1, 0, 0]
    summed = made[1].summed(np.array([[0.4, 0.3, 0.3], [1.0, 0.0, 0.0]]))
    assert summed == pytest.approx(np.array([[0.6, 0.4], [0.0, 1.0]]))


def test_a_tree_may_stand_in_several_tables_or_in_none() -> None:
    assert read_tree(ROWS[:1], ROWS[1:], None) == read_tree(ROWS)
    assert read_tree(ROWS[["label"]], pd.DataFrame({"image_id": ["x"]})) == {}


def test_a_label_that_the_tree_lacks_leaves_the_level_out() -> None:
    made, notes = levels(read_tree(ROWS), ["acne", "wart"])
    assert made == []
    assert notes[0] == "nine_partition_label is not scored: it is not known for acne."


def test_a_label_in_two_partitions_is_refused() -> None:
    twice = ROWS.assign(three_partition_label=["benign", "malignant", "malignant", "benign", None])
    with pytest.raises(UserError, match="wart is in three_partition_label benign, malignant"):
        read_tree(twice)
