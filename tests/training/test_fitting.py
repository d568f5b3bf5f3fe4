"""Whole trainings of a tiny network, against softmax regression done in NumPy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import f1_score

from ajl_tf.config import Augment, Balance, Loss, Phase, Training
from ajl_tf.errors import UserError
from ajl_tf.models.classifier import Classifier, build_classifier
from ajl_tf.models.zoo import BACKBONES
from ajl_tf.training.fitting import Recipe, Rows, fit
from ajl_tf.training.plan import EpochPlan
from ajl_tf.training.predicting import image_predictor

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
N, TRAIN, CLASSES, SIZE, CANVAS = 26, 16, 3, 32, 36
# On, and yet nothing: so that the frozen backbone runs for every batch instead of once.
IDENTITY = Augment(rotation=1e-9)


@pytest.fixture(autouse=True)
def _one_seed() -> Iterator[None]:
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Photos whose colour hints at their label, so that training gets somewhere, slowly."""
    rng = np.random.default_rng(0)
    labels = np.arange(N) % CLASSES
    canvases = rng.integers(0, 256, (N, CANVAS, CANVAS, 3))
    canvases[np.arange(N), :, :, labels] += 40
    return Rows(
        np.clip(canvases, 0, 255).astype(np.uint8),
        np.arange(N, dtype=np.uint64),
        labels,
        np.eye(CLASSES, dtype=np.float32)[labels],
        np.array([-1, 1, 2, 3, 4, 5, 6] * 4)[:N],
        ("acne", "eczema", "scabies"),
        np.arange(TRAIN),
        np.arange(TRAIN, N),
    )


def classifier(backbone: str = "tiny") -> Classifier:
    return build_classifier(backbone, "none", SIZE, CLASSES, dropout=0.0)


def phase(**values: Any) -> Phase:
    plain = {"name": "only", "epochs": 1, "optimizer": "sgd", "momentum": 0.0}
    return Phase(**{**plain, "schedule": "constant", **values})


def recipe(*phases: Phase, augment: Augment = IDENTITY, **training: Any) -> Recipe:
    return Recipe(
        5,
        SIZE,
        phases,
        Loss(),
        Balance(),
        augment,
        Training(**{"batch_size": 6, "keep": "last", **training}),
    )


def run(trained: Classifier, rows: Rows, how: Recipe, folder: Path, **options: Any) -> list[int]:
    return fit(trained, rows, how, folder, announce=False, **options)


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def values(model: keras.Model, *parts: str) -> list[np.ndarray]:
    return [v.numpy() for v in model.variables if any(part in v.path for part in parts)]


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    return [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]


@dataclass
class Regression:
    """Softmax regression with the average of its weights, batch by batch, in NumPy."""

    kernel: np.ndarray
    bias: np.ndarray
    rate: float
    accumulate: int
    momentum: float

    def __post_init__(self) -> None:
        self.gathered: list[np.ndarray] = []
        self.average: np.ndarray | None = None
        self.updates = 0

    def shares(self, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
        raised = np.exp(x @ weights[:-1] + weights[-1])
        return raised / raised.sum(axis=1, keepdims=True)

    @property
    def weights(self) -> np.ndarray:
        return np.vstack([self.kernel, self.bias])

    @property
    def kept(self) -> np.ndarray:
        return self.weights if self.average is None else self.average

    def step(self, x: np.ndarray, labels: np.ndarray) -> None:
        error = (self.shares(self.weights, x) - np.eye(CLASSES)[labels]) / len(x)
        self.gathered.append(np.vstack([x.T @ error, error.sum(axis=0)]))
        if len(self.gathered) == self.accumulate:
            gradient = np.mean(self.gathered, axis=0)
            self.kernel = self.kernel - self.rate * gradient[:-1]
            self.bias = self.bias - self.rate * gradient[-1]
            self.gathered = []
            self.updates += 1
        if self.momentum:
            # A batch's share of an update's momentum; the first update is where it starts.
            m = self.momentum ** (1 / self.accumulate)
            is_first = self.average is None or (self.updates == 1 and not self.gathered)
            self.average = self.weights if is_first else m * self.average + (1 - m) * self.weights


@pytest.mark.parametrize(
    ("ema", "accumulate", "keep"),
    [(0.0, 1, "best"), (0.6, 1, "last"), (0.6, 2, "best")],
)
def test_training_is_softmax_regression_on_the_features(
    rows: Rows, tmp_path: Path, ema: float, accumulate: int, keep: str
) -> None:
    trained = classifier()
    kernel, bias = trained.head.get_weights()
    features = image_predictor(trained.features, SIZE)(rows.canvases, np.arange(N), 8)
    epochs, rate = 8, 2.0
    took = run(
        trained,
        rows,
        recipe(phase(epochs=epochs, learning_rate=rate, accumulate=accumulate), ema=ema, keep=keep),
        tmp_path,
    )

    model = Regression(kernel, bias, rate, accumulate, ema)
    plan = EpochPlan(5, rows.train, rows.keys, None, None, CANVAS, SIZE)
    scores, losses, weights = [], [], []
    for epoch in range(epochs):
        order, _ = plan(epoch)
        for start in range(0, TRAIN, 6):  # 6, 6, 4
            part = order[start : start + 6]
            model.step(features[part], rows.labels[part])
        shares = model.shares(model.kept, features[rows.validation])
        own = rows.labels[rows.validation]
        losses.append(-np.log(shares[np.arange(len(own)), own]).mean())
        scores.append(f1_score(own, shares.argmax(1), average="weighted", zero_division=0))
        weights.append(model.kept)

    lines = history(tmp_path)
    np.testing.assert_allclose([line["val_loss"] for line in lines], losses, rtol=1e-3)
    np.testing.assert_allclose([line["val_weighted_f1"] for line in lines], scores, rtol=1e-5)
    best = int(np.argmax(scores)) if keep == "best" else epochs - 1
    assert took == [best + 1]
    np.testing.assert_allclose(np.vstack(trained.head.get_weights()), weights[best], atol=1e-3)
    assert (tmp_path / "best.weights.h5").is_file() == (keep == "best")
    if keep == "best":
        assert 0 < best < epochs - 1  # or the test could not tell best from first or last


def test_cached_features_train_the_head_that_the_whole_network_would(
    rows: Rows, tmp_path: Path
) -> None:
    heads = []
    for number, augment in enumerate((Augment(), IDENTITY)):
        keras.utils.set_random_seed(0)
        trained, folder = classifier(), tmp_path / str(number)
        folder.mkdir()
        how = recipe(phase(epochs=3, learning_rate=1.0, optimizer="adam"), augment=augment)
        run(trained, rows, how, folder)
        heads.append(trained.head.get_weights())
    for cached, whole in zip(*heads, strict=True):
        np.testing.assert_allclose(cached, whole, atol=2e-3)


@pytest.mark.parametrize("augmented", [True, False])
def test_a_frozen_phase_without_changes_computes_features_once(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augmented: bool
) -> None:
    seen: list[int] = []

    class Counter(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            counted = tf.numpy_function(lambda a: (seen.append(len(a)), a)[1], [x], tf.float32)
            counted.set_shape(x.shape)
            return counted

    tiny = BACKBONES["tiny"]
    counting = replace(tiny, name="counting", build=lambda x: tiny.build(Counter()(x)))
    monkeypatch.setitem(BACKBONES, "counting", counting)
    how = recipe(
        phase(epochs=3, augment=augmented), augment=Augment() if augmented else Augment(mixup=1.0)
    )
    run(classifier("counting"), replace(rows, validation=np.array([20, 25])), how, tmp_path)
    assert sum(seen) == TRAIN + 2  # and no photo that is in neither part
    assert len(history(tmp_path)) == 3


def test_what_is_frozen_stays_and_normalisation_holds_still(rows: Rows, tmp_path: Path) -> None:
    trained = classifier()
    for number in (1, 2):  # not the values they start from
        layer = trained.model.get_layer(f"norm_{number}")
        layer.set_weights([w + 0.1 * (k + 1) for k, w in enumerate(layer.get_weights())])
    still = values(trained.model, "norm_")
    assert len(still) == 8
    convolutions = values(trained.model, "conv_")
    fine = {"learning_rate": 0.1, "epochs": 2}
    for number, (depth, expected) in enumerate(
        [(0.0, [False, False]), ("conv_2", [False, True]), (1.0, [True, True])]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        head = trained.head.get_weights()
        run(trained, rows, recipe(phase(unfreeze=depth, **fine)), folder)
        assert moved(convolutions, values(trained.model, "conv_")) == expected
        assert all(moved(head, trained.head.get_weights()))
        assert not any(moved(still, values(trained.model, "norm_")))
        convolutions = values(trained.model, "conv_")


def test_plateau_lowers_the_rate_and_early_stopping_ends_the_phase(
    rows: Rows, tmp_path: Path
) -> None:
    nothing = {"learning_rate": 1e-12}
    took = run(
        classifier(),
        rows,
        recipe(
            phase(
                name="a", epochs=4, schedule="plateau", plateau_patience=1, factor=0.5, **nothing
            ),
            phase(name="b", epochs=9, early_stopping=2, **nothing),
            keep="best",
        ),
        tmp_path,
    )
    lines = history(tmp_path)
    assert [line["phase"] for line in lines] == ["a"] * 4 + ["b"] * 3
    assert [line["epoch"] for line in lines] == list(range(7))
    lowered = [line["learning_rate"] for line in lines[:4]]
    np.testing.assert_allclose(lowered, [1e-12, 1e-12, 5e-13, 2.5e-13], rtol=1e-5)
    assert len({line["val_weighted_f1"] for line in lines}) == 1  # or there was nothing to see
    assert took == [1, 0]  # the first of equals


def test_epochs_can_be_fixed_for_each_phase_where_nothing_is_watched(
    rows: Rows, tmp_path: Path
) -> None:
    unwatched = replace(rows, train=np.arange(N), validation=np.empty(0, np.int64))
    how = recipe(
        phase(name="a", epochs=4, early_stopping=1),
        phase(name="b", epochs=4, schedule="cosine", learning_rate=0.1, unfreeze=1.0),
        phase(name="c", epochs=4),
        keep="best",
    )
    assert run(classifier(), unwatched, how, tmp_path, epochs=[1, 2, 0]) == [1, 2, 0]
    lines = history(tmp_path)
    assert [(line["phase"], line["epoch"]) for line in lines] == [("a", 0), ("b", 1), ("b", 2)]
    # The schedule is that of four epochs, stopped half-way.
    assert lines[-1]["learning_rate"] == pytest.approx(0.05, rel=1e-4)
    assert not any(key.startswith("val_") for line in lines for key in line)


def test_a_wrong_layer_of_a_later_phase_is_told_before_anything_trains(
    rows: Rows, tmp_path: Path
) -> None:
    how = recipe(phase(name="a"), phase(name="b", unfreeze="conv_9"))
    with pytest.raises(UserError, match="no layer 'conv_9'"):
        run(classifier(), rows, how, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_moves_as_float32_does(rows: Rows, tmp_path: Path, precision: str) -> None:
    moves = {}
    for policy in ("float32", precision):
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(0)
        trained, folder = classifier(), tmp_path / policy
        folder.mkdir()
        kernel, bias = trained.head.get_weights()
        # Gradients of the backbone as small as they get late in a training: below what float16
        # can tell from zero, unless the loss is scaled.
        trained.head.set_weights([kernel * 1e-6, bias])
        before = values(trained.model, "conv_1")[0]
        how = recipe(
            phase(unfreeze=1.0, learning_rate=1e4), precision=policy, batch_size=TRAIN, ema=0.5
        )
        run(trained, rows, how, folder)
        moves[policy] = values(trained.model, "conv_1")[0] - before
        assert trained.model(np.zeros((1, SIZE, SIZE, 3), np.float32)).dtype == "float32"
        assert np.isfinite(history(folder)[0]["loss"])
    size = np.linalg.norm(moves["float32"])
    assert size > 0
    assert np.linalg.norm(moves[precision] - moves["float32"]) < 0.1 * size


@pytest.mark.parametrize("cached", [True, False])
def test_a_training_that_diverges_ends_with_what_to_do(
    rows: Rows, tmp_path: Path, cached: bool
) -> None:
    how = recipe(
        phase(epochs=9, learning_rate=1e38, unfreeze=0.0 if cached else 1.0),
        augment=Augment() if cached else IDENTITY,
        keep="best",
    )
    said = r"diverged in 'only': the .* (not|until) .* Lower phases\.learning_rate"
    with pytest.raises(UserError, match=said) as caught:
        run(classifier(), rows, how, tmp_path)
    kept = f", of epoch 1, are kept in {tmp_path / 'best.weights.h5'}. "
    nothing = ". No epoch was finished, so no weights are kept. "
    assert (kept if cached else nothing) in str(caught.value)
    assert len(list(tmp_path.glob("*.h5"))) == cached
    history_file = tmp_path / "history.jsonl"
    for line in history(tmp_path) if history_file.exists() else []:
        assert np.isfinite([value for key, value in line.items() if key != "phase"]).all()


@pytest.mark.parametrize(
    ("keep", "ema", "file"),
    [
        ("best", 0.0, "best.weights.h5"),
        ("last", 0.0, "last_finite.weights.h5"),
        ("last", 0.5, "last_finite.weights.h5"),
    ],
)
def test_what_is_said_to_be_kept_of_a_training_that_diverges_is_kept(
    rows: Rows, tmp_path: Path, keep: str, ema: float, file: str
) -> None:
    sane, wild = (
        phase(name="sane", unfreeze=1.0),
        phase(name="wild", epochs=9, unfreeze=1.0, learning_rate=1e38),
    )
    trained = {}
    for name, phases in {"sane": (sane,), "both": (sane, wild)}.items():
        keras.utils.set_random_seed(0)
        folder, trained[name] = tmp_path / name, classifier()
        folder.mkdir()
        how = recipe(*phases, keep=keep, ema=ema)
        if name == "sane":
            run(trained[name], rows, how, folder)
            continue
        with pytest.raises(UserError, match="diverged in 'wild'") as caught:
            run(trained[name], rows, how, folder)
    assert f", of epoch 1, are kept in {folder / file}. Lower " in str(caught.value)
    trained["both"].model.load_weights(folder / file)
    for kept, expected in zip(
        trained["both"].model.get_weights(), trained["sane"].model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(kept, expected)


def test_sampling_and_class_weights_reach_the_training(rows: Rows, tmp_path: Path) -> None:
    lopsided = replace(
        rows,
        train=np.array([0, 3, 6, 9, 1, 4, 2]),  # four of a class, two, one
        validation=np.empty(0, np.int64),
    )
    shares = {}
    for kind in ("none", "class"):
        keras.utils.set_random_seed(0)
        trained, folder = classifier(), tmp_path / kind
        folder.mkdir()
        trained.head.set_weights([0 * w for w in trained.head.get_weights()])
        # So small a rate that the bias sums up how often each class was drawn.
        how = recipe(phase(epochs=60, learning_rate=1e-4), batch_size=7)
        run(trained, lopsided, replace(how, balance=Balance(sampler=kind)), folder)
        bias = trained.head.get_weights()[1]
        shares[kind] = bias / (1e-4 * 60) + 1 / 3
    np.testing.assert_allclose(shares["none"], [4 / 7, 2 / 7, 1 / 7], atol=0.01)
    np.testing.assert_allclose(shares["class"], [1 / 3, 1 / 3, 1 / 3], atol=0.07)

    keras.utils.set_random_seed(0)
    trained = classifier()
    trained.head.set_weights([0 * w for w in trained.head.get_weights()])
    folder = tmp_path / "weights"
    folder.mkdir()
    how = recipe(phase(epochs=60, learning_rate=1e-4), batch_size=7)
    run(trained, lopsided, replace(how, balance=Balance(class_weights="inverse")), folder)
    np.testing.assert_allclose(trained.head.get_weights()[1], 0, atol=1e-4)
