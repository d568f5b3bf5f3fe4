"""Group DRO against a loop in NumPy, the tone adversary against the gradient that it reverses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from ajl_tf.config import Augment, Balance, Loss, Mitigation, Phase, Training
from ajl_tf.errors import UserError
from ajl_tf.models.classifier import Classifier, build_classifier
from ajl_tf.training import augment as augmentation
from ajl_tf.training import keeping
from ajl_tf.training.fitting import Recipe, Rows, fit
from ajl_tf.training.mitigation import RobustLoss, ToneAdversary, tone_groups
from ajl_tf.training.plan import EpochPlan
from ajl_tf.training.predicting import image_predictor
from ajl_tf.training.trainer import Trainer, make_loss

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
CLASSES, SIZE = 3, 32
TONES = np.array([1, 2, 3, 4, 5, 6, -1])


def rows(n: int = 24, tones: np.ndarray = TONES) -> Rows:
    """Photos that are brighter on one side, which is the label, and darker the darker the skin."""
    rng = np.random.default_rng(0)
    labels, tone = np.arange(n) % 2, rng.permutation(np.resize(tones, n))
    canvases = rng.integers(0, 40, (n, SIZE, SIZE, 3)).astype(np.float64)
    canvases += 200 - 30 * np.abs(tone)[:, None, None, None]
    canvases[labels == 1, :, ::3] *= 0.5  # stripes
    return Rows(
        canvases.clip(0, 255).astype(np.uint8),
        np.arange(n, dtype=np.uint64),
        labels,
        np.eye(CLASSES, dtype=np.float32)[labels],
        tone,
        ("acne", "eczema", "scabies"),
        np.arange(n),
        np.empty(0, np.int64),
    )


def classifier() -> Classifier:
    keras.utils.set_random_seed(1)
    return build_classifier("tiny", "none", SIZE, CLASSES, dropout=0.0)


def recipe(mitigation: Mitigation, *phases: Phase, **training: Any) -> Recipe:
    options = {"batch_size": 6, "keep": "last", **training}
    return Recipe(5, SIZE, phases, Loss(), Balance(), Augment(), Training(**options), mitigation)


def frozen(**values: Any) -> Phase:
    plain = {"name": "head", "optimizer": "sgd", "momentum": 0.0, "schedule": "constant"}
    return Phase.model_validate({**plain, "epochs": 3, "learning_rate": 0.5, **values})


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


# --- Group DRO ---


def test_a_training_with_group_dro_is_the_loop_of_the_paper(tmp_path: Path) -> None:
    data, network, step, rate = rows(), classifier(), 0.5, 0.5
    kernel, bias = (w.astype(np.float64) for w in network.head.get_weights())
    features = image_predictor(network.features, SIZE)(data.canvases, np.arange(24), 8)
    how = recipe(Mitigation(group_dro=step), frozen(learning_rate=rate))
    fit(network, data, how, tmp_path, announce=False)

    bands = ["1-2", "1-2", "3-4", "3-4", "5-6", "5-6", "unknown"]
    names = ["1-2", "3-4", "5-6", "unknown"]
    band = [names.index(bands[tone - 1 if tone > 0 else 6]) for tone in data.tones]
    share, told = [0.25] * 4, []
    plan = EpochPlan(5, data.train, data.keys, None, None, SIZE, SIZE)
    for epoch in range(3):
        order, _ = plan(epoch)
        for start in range(0, 24, 6):
            batch = order[start : start + 6]
            chances = softmax(features[batch] @ kernel + bias)
            gradient = chances - np.eye(CLASSES)[data.labels[batch]]
            factor = np.zeros(6)
            for group in range(4):
                own = [i for i, row in enumerate(batch) if band[row] == group]
                if own:
                    loss = np.mean([-np.log(chances[i, data.labels[batch[i]]]) for i in own])
                    share[group] *= np.exp(step * loss)
                    factor[own] = 1 / len(own)
            share = [value / sum(share) for value in share]
            weighted = gradient * (factor * [share[band[row]] for row in batch])[:, None]
            kernel -= rate * features[batch].T @ weighted
            bias -= rate * weighted.sum(axis=0)
        told.append(list(share))
    np.testing.assert_allclose(network.head.get_weights()[0], kernel, atol=1e-4)
    np.testing.assert_allclose(network.head.get_weights()[1], bias, atol=1e-4)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    found = [[line[f"share_{name}"] for name in names] for line in lines]
    np.testing.assert_allclose(found, told, rtol=1e-4)
    assert np.ptp(found[-1]) > 0.1  # or any weights would have done


def test_a_blended_photo_is_in_both_groups_and_class_weights_count() -> None:
    rng = np.random.default_rng(2)
    canvases = rng.integers(0, 256, (4, 10, 10, 3), dtype=np.uint8)
    y, groups = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], tone_groups(np.array([1, 5, 3, 3]))
    augment, weights = Augment(mixup=1.0), np.array([0.5, 1.0, 2.5], np.float32)
    drawn = augmentation.draw(augment, rng.random((4, augmentation.UNIFORMS)), 10, 8)
    x = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))
    model = keras.Model(x, keras.layers.Dense(3)(pooled))
    trainer = Trainer(model, augment, 8, weights, False, RobustLoss(0.3, groups))
    trainer.compile(keras.optimizers.SGD(0.0), make_loss(Loss(), None), jit_compile=False)
    inputs = {"source": canvases, "drawn": drawn, "groups": groups}
    got = trainer.train_on_batch(inputs, y)

    images = augmentation.apply(canvases, drawn, 8, augment)
    kernel, bias = model.get_weights()
    own = drawn[:, 20:21]
    assert own.min() < 0.9  # there are blends
    partner = [1, 0, 3, 2]
    labels, parts = own * y + (1 - own) * y[partner], own * groups + (1 - own) * groups[partner]
    chances = softmax(np.mean(images, axis=(1, 2)) / 255 @ kernel + bias)
    losses = -(labels * np.log(chances)).sum(axis=1) * (labels @ weights)
    means = np.array([(losses * parts[:, g]).sum() / parts[:, g].sum() for g in range(3)])
    shares = np.exp(0.3 * means) / np.exp(0.3 * means).sum()  # the unknown has no photo
    assert got == pytest.approx((shares * means).sum(), rel=1e-5)
    np.testing.assert_allclose(trainer.robust.shares, [*shares, 0.0], rtol=1e-5)


# --- The adversary ---


def test_features_get_the_reversed_gradient_and_it_rises() -> None:
    tones = np.array([1, 2, 3, 4, 6, -1, 2, 1])
    groups = tone_groups(tones)
    adversary = ToneAdversary(2.0, 10, groups, 5, seed=0)
    pooled = tf.constant(np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32))
    band = np.array([0, 0, 1, 1, 2, 0, 0, 0])
    weight = np.where(tones < 0, 0, 1 / np.array([4, 2, 1])[band])

    def plain(x: tf.Tensor) -> tf.Tensor:
        chances = tf.nn.softmax(adversary.guess(adversary.hidden(x)))
        own = tf.gather(chances, band, axis=1, batch_dims=1)
        return -tf.reduce_sum(weight * tf.math.log(own)) / weight.sum()

    for step in range(4):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(pooled)
            loss, expected = adversary(pooled, groups), plain(pooled)
        reach = 2.0 * (2 / (1 + np.exp(-step)) - 1)  # a tenth of the way with each
        assert float(loss) == pytest.approx(float(expected), rel=1e-4)
        np.testing.assert_allclose(
            tape.gradient(loss, pooled), -reach * tape.gradient(expected, pooled), atol=1e-5
        )
        own = adversary.hidden.kernel
        np.testing.assert_allclose(
            tape.gradient(loss, own), tape.gradient(expected, own), atol=1e-5
        )


def test_a_fresh_probe_finds_less_tone_in_features_that_had_to_forget_it() -> None:
    """Three features of eight numbers, of which two tell the label, two the tone, four nothing."""
    rng = np.random.default_rng(0)
    label, groups = rng.integers(3, size=600), tone_groups(rng.choice([1, 4, 6], size=600))
    band, corners = groups.argmax(axis=1), np.array([[0, 0], [1, 0], [0, 1]])
    x = rng.normal(size=(600, 8)).astype(np.float32)
    x[:, :2] += 2.5 * corners[label]
    x[:, 2:4] += 4 * corners[band]
    y, known, new = np.eye(3, dtype=np.float32)[label], slice(0, 400), slice(400, 600)
    inputs = {"source": x[known], "drawn": np.zeros((400, 0), np.float32), "groups": groups[known]}
    batches = tf.data.Dataset.from_tensor_slices((inputs, y[known])).batch(40)
    found, right = {}, {}
    for strength in (0.0, 3.0):
        keras.utils.set_random_seed(0)
        photo = keras.Input((8,))
        pooled = keras.layers.Dense(3)(photo)
        model = keras.Model(photo, [keras.layers.Dense(3)(pooled), pooled])
        adversary = ToneAdversary(strength, 300, groups[known], 3, seed=0)
        trainer = Trainer(model, None, 1, None, False, None, adversary)
        trainer.compile(keras.optimizers.Adam(0.02), make_loss(Loss()), jit_compile=False)
        trainer.fit(batches, epochs=30, shuffle=False, verbose=0)
        logits, features = (keras.ops.convert_to_numpy(found) for found in model(x))
        probe = LogisticRegression().fit(features[known], band[known])
        found[strength] = balanced_accuracy_score(band[new], probe.predict(features[new]))
        right[strength] = np.mean(logits[new].argmax(axis=1) == label[new])
    assert found[0.0] > 0.55
    assert found[3.0] < 0.45  # a third is chance
    assert right[3.0] > right[0.0] - 0.05


def test_the_adversary_is_no_part_of_the_classifier(tmp_path: Path) -> None:
    network = classifier()
    before = [layer.name for layer in network.model.layers]
    fine = Phase(name="fine", epochs=1, unfreeze=1.0)
    fit(network, rows(), recipe(Mitigation(tone_adversary=1.0), fine), tmp_path, announce=False)
    assert [layer.name for layer in network.model.layers] == before
    assert len(network.model.outputs) == 1


def test_frozen_features_cannot_forget(tmp_path: Path) -> None:
    heads = []
    for strength in (0.0, 5.0):
        folder, network = tmp_path / str(strength), classifier()
        folder.mkdir()
        how = recipe(Mitigation(tone_adversary=strength), frozen())
        fit(network, rows(), how, folder, announce=False)
        heads.append(network.head.get_weights())
    for plain, other in zip(*heads, strict=True):
        np.testing.assert_array_equal(plain, other)


# --- Both ---


class Killed(BaseException):
    """Not caught by anything, as a kill is not."""


def test_a_training_that_was_killed_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Phase(name="first", epochs=1, unfreeze=1.0, learning_rate=0.01)
    how = recipe(
        Mitigation(group_dro=0.3, tone_adversary=1.0),
        first,
        first.model_copy(update={"name": "second", "epochs": 2}),
        batch_size=12,
        checkpoint_minutes=0.0,
    )
    weights, histories = [], []
    real = keeping.write_checkpoint
    for kills in ((), (5,)):  # amid the second phase
        folder = tmp_path / str(len(kills))
        folder.mkdir()
        for at in (*kills, None):
            written = []

            def write(*arguments: Any, at: Any = at, written: list[int] = written) -> None:
                real(*arguments)
                written.append(1)
                if len(written) == at:
                    raise Killed

            monkeypatch.setattr(keeping, "write_checkpoint", write)
            network = classifier()
            try:
                fit(network, rows(), how, folder, announce=False)
            except Killed:
                assert at is not None
        weights.append(network.model.get_weights())
        lines = (folder / "history.jsonl").read_text().splitlines()
        clock = ("seconds", "images_per_second")
        read = [json.loads(line) for line in lines]
        histories.append([{k: v for k, v in line.items() if k not in clock} for line in read])
    for plain, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, other)
    assert histories[0] == histories[1]
    assert len(histories[0]) == 3


@pytest.mark.parametrize("tones", [np.array([-1]), np.array([1, 2, -1])])
@pytest.mark.parametrize("name", ["group_dro", "tone_adversary"])
def test_photos_without_tones_to_compare_are_refused(
    tmp_path: Path, tones: np.ndarray, name: str
) -> None:
    how = recipe(Mitigation.model_validate({name: 0.1}), frozen())
    with pytest.raises(UserError, match=rf"mitigation\.{name} .* skin_tone"):
        fit(classifier(), rows(tones=tones), how, tmp_path, announce=False)
    assert not list(tmp_path.iterdir())
