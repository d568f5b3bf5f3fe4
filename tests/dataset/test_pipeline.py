"""The two pipelines: what the plan says comes out of one, every row once out of the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ajl_tf.dataset.pipeline import evaluation_batches, training_batches

N, CLASSES = 11, 3


@pytest.fixture(params=["memory", "mapped from a file"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> np.ndarray:
    """Canvases, each filled with the number of its row."""
    canvases = np.tile(np.arange(N, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 3))
    if request.param == "memory":
        return canvases
    np.save(tmp_path / "canvases.npy", canvases)
    mapped: np.ndarray = np.load(tmp_path / "canvases.npy", mmap_mode="r")
    return mapped


@pytest.fixture
def targets() -> np.ndarray:
    return np.eye(CLASSES, dtype=np.float32)[np.arange(N) % CLASSES]


def plan(epoch: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(epoch).permutation(N)[:7].astype(np.int64)
    return rows, np.stack([rows, np.full(7, epoch)], axis=1).astype(np.float32)


def collected(
    source: np.ndarray, targets: np.ndarray, epochs: range, batch_size: int
) -> tuple[list[int], dict[str, np.ndarray]]:
    batches = list(
        training_batches(source, targets, plan, draws=2, epochs=epochs, batch_size=batch_size)
    )
    parts = {
        "source": [inputs["source"].numpy() for inputs, _ in batches],
        "drawn": [inputs["drawn"].numpy() for inputs, _ in batches],
        "labels": [labels.numpy() for _, labels in batches],
    }
    return [len(part) for part in parts["labels"]], {
        name: np.concatenate(part) for name, part in parts.items()
    }


def test_training_follows_the_plan_epoch_after_epoch(
    source: np.ndarray, targets: np.ndarray
) -> None:
    sizes, together = collected(source, targets, range(2, 5), batch_size=3)
    rows, drawn = (np.concatenate(parts) for parts in zip(*map(plan, (2, 3, 4)), strict=True))
    assert sizes == [3, 3, 1] * 3  # an epoch's last batch is not filled from the next epoch
    np.testing.assert_array_equal(together["source"], np.asarray(source)[rows])
    np.testing.assert_array_equal(together["labels"], targets[rows])
    np.testing.assert_array_equal(together["drawn"], drawn)


def test_what_comes_does_not_depend_on_the_batch_size(
    source: np.ndarray, targets: np.ndarray
) -> None:
    _, threes = collected(source, targets, range(2), batch_size=3)
    _, fives = collected(source, targets, range(2), batch_size=5)
    for name, values in threes.items():
        np.testing.assert_array_equal(values, fives[name])


def test_the_shapes_are_known_before_a_batch_is_made(
    source: np.ndarray, targets: np.ndarray
) -> None:
    batches = training_batches(source, targets, plan, draws=2, epochs=range(1), batch_size=3)
    inputs, labels = batches.element_spec
    assert inputs["source"] == tf.TensorSpec((None, 4, 4, 3), tf.uint8)
    assert inputs["drawn"] == tf.TensorSpec((None, 2), tf.float32)
    assert labels == tf.TensorSpec((None, CLASSES), tf.float32)


@pytest.mark.parametrize("batch_size", [1, 4, 9, 100])
def test_evaluation_keeps_every_row_once_in_order(source: np.ndarray, batch_size: int) -> None:
    rows = np.array([10, 0, 7, 7, 3, 2, 1, 9, 4])
    batches = [batch.numpy() for batch in evaluation_batches(source, rows, batch_size)]
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    np.testing.assert_array_equal(np.concatenate(batches), np.asarray(source)[rows])


def test_a_mapped_file_is_not_copied_into_the_graph(tmp_path: Path, targets: np.ndarray) -> None:
    np.save(tmp_path / "it.npy", np.zeros((N, 64, 64, 3), np.uint8))
    mapped = np.load(tmp_path / "it.npy", mmap_mode="r")
    for batches in (
        evaluation_batches(mapped, np.arange(N), 4),
        training_batches(mapped, targets, plan, draws=2, epochs=range(1), batch_size=4),
    ):
        graph = batches._as_serialized_graph().numpy()  # the only way to look at what is shipped
        assert len(graph) < mapped.nbytes / 4


def test_no_thread_tunes_them_for_which_their_end_would_wait(
    source: np.ndarray, targets: np.ndarray
) -> None:
    for batches in (
        evaluation_batches(source, np.arange(N), 4),
        training_batches(source, targets, plan, draws=2, epochs=range(1), batch_size=4),
    ):
        assert batches.options().autotune.enabled is False
