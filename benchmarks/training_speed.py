"""What training costs beside the network: steps, the frozen phase, augmentation.

    python benchmarks/training_speed.py

1. Step: `fit` as `train` runs it (order, augmentation, metrics, log, TensorBoard) against a bare
   Keras `train_on_batch` loop of the same network on tensors that lie in memory as floats; and
   against the same loop of the network with its normalisations folded, as `train` computes it,
   which tells what all else costs.
2. Frozen phase: epochs on cached features against epochs that run the backbone for each batch.
3. Augmentation: all changes in one warp and one product against Keras layers, one after another.
4. Folding: a network as a SavedModel runs it, its normalisations in its convolutions, against the
   network as Keras has it; images per second of processors.
5. Kernels: a step's gradients with TensorFlow's own gradient of wide depthwise kernels against the
   same with oneDNN's; images per second of processors.

All in one process, in turn; a figure is the median of the rounds. The pictures are
noise: what they show costs nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from ajl_tf import process

process.prepare()  # as every verb does, before TensorFlow is imported

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from ajl_tf.config import Augment, Balance, Loss, Phase, Training  # noqa: E402
from ajl_tf.errors import run_verb  # noqa: E402
from ajl_tf.models.classifier import Classifier, build_classifier, unfreeze  # noqa: E402
from ajl_tf.runs import HISTORY  # noqa: E402
from ajl_tf.training import augment as augmentation  # noqa: E402
from ajl_tf.training import depthwise  # noqa: E402
from ajl_tf.training.fitting import fit  # noqa: E402
from ajl_tf.training.folding import baked, folded  # noqa: E402
from ajl_tf.training.keyed import uniforms  # noqa: E402
from ajl_tf.training.recipe import Recipe, Rows  # noqa: E402

CLASSES = 21
PARTS = ("step", "frozen", "augmentation", "folding", "kernels")
FLIPS = Augment(horizontal_flip=True, vertical_flip=True)
GEOMETRY = Augment(**FLIPS.model_dump() | {"rotation": 30.0, "zoom": (0.55, 1.0)})
ALL = Augment(
    **GEOMETRY.model_dump()
    | {"brightness": 0.15, "contrast": 0.15, "saturation": 0.15, "hue": 10.0, "mixup": 0.2}
)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line or more for each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--unfreeze", default="block3a_expand_conv")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--photos", type=int, default=160)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--frozen-photos", type=int, default=2288, help="of the frozen phase")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    options = parser.parse_args(argv)
    canvas = round(options.size * 8 / 7)
    if "step" in options.parts:
        steps(noise(options.photos, canvas), options)
    if "frozen" in options.parts:
        frozen(noise(options.frozen_photos, canvas), options)
    if "augmentation" in options.parts:
        augmenting(noise(options.batch_size, canvas).canvases, options)
    if "folding" in options.parts:
        folding(noise(options.photos, canvas), options)
    if "kernels" in options.parts:
        kernels(noise(options.photos, canvas), options)
    return 0


def noise(photos: int, canvas: int) -> Rows:
    """Photos of noise, all of which train."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=photos)
    return Rows(
        rng.integers(0, 256, (photos, canvas, canvas, 3), np.uint8),
        np.arange(photos, dtype=np.uint64),
        labels,
        np.eye(CLASSES, dtype=np.float32)[labels],
        np.ones(photos, np.int64),
        tuple(f"condition {number:02d}" for number in range(CLASSES)),
        np.arange(photos),
        np.empty(0, np.int64),
    )


def network(options: argparse.Namespace) -> Classifier:
    """The same network each time."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    return build_classifier(options.backbone, "none", options.size, CLASSES, 0.2)


def epochs(rows: Rows, options: argparse.Namespace, phase: Phase, augment: Augment) -> list[float]:
    """Seconds of each epoch of `fit`."""
    recipe = Recipe(
        *(0, options.size, (phase,), Loss(label_smoothing=0.1), Balance(), augment),
        Training(batch_size=options.batch_size, keep="last"),
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(network(options), rows, recipe, Path(folder), announce=False)
        lines = (Path(folder) / HISTORY).read_text().splitlines()
    return [json.loads(line)["seconds"] for line in lines]


def steps(rows: Rows, options: argparse.Namespace) -> None:
    """Prints images a second of whole epochs, each way with bare passes before and after it."""
    rounds = options.rounds
    # The first epoch traces.
    phase = Phase(name="all", epochs=rounds + 1, unfreeze=options.unfreeze, learning_rate=1e-4)
    ways = {"no augmentation": Augment(), "flips, turns, zoom": GEOMETRY, "all, MixUp too": ALL}
    loops = {"train_on_batch": bare(rows, options, fold=False)}
    loops["the same, folded"] = bare(rows, options, fold=True)
    print(f"{options.backbone}, {options.size} pixels, batches of {options.batch_size}")
    for name, augment in ways.items():
        passes = {loop: [run() for _ in range(rounds)] for loop, run in loops.items()}
        ours = epochs(rows, options, phase, augment)[1:]
        print(f"  train, {name}: {_speed(rows, ours)}")
        for loop, run in loops.items():
            passes[loop] += [run() for _ in range(rounds)]
            ratio = statistics.median(passes[loop]) / statistics.median(ours)
            print(f"    {ratio:.2f} of {loop}, {_speed(rows, passes[loop])}", flush=True)


def _speed(rows: Rows, seconds: Sequence[float]) -> str:
    speeds = sorted(len(rows.train) / value for value in seconds)
    median = statistics.median(speeds)
    return f"{median:.1f} images/s ({speeds[0]:.1f} to {speeds[-1]:.1f})"


def bare(rows: Rows, options: argparse.Namespace, *, fold: bool) -> Callable[[], float]:
    """Makes a pass over batches in memory; one has been made, which traces."""
    classifier = network(options)
    unfreeze(classifier, options.unfreeze)
    model = folded(classifier.model) if fold else classifier.model
    model.compile(
        keras.optimizers.AdamW(1e-4),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        jit_compile=False,
    )
    images = tf.image.resize(rows.canvases, (options.size, options.size))
    batches = list(
        zip(_batches(images, options), _batches(tf.constant(rows.targets), options), strict=True)
    )

    def run() -> float:
        start = time.perf_counter()
        for x, y in batches:
            model.train_on_batch(x, y)
        return time.perf_counter() - start

    run()
    return run


def frozen(rows: Rows, options: argparse.Namespace, number: int = 20) -> None:
    """Prints what epochs of a frozen backbone cost, with and without cached features."""
    phase = {"name": "frozen", "unfreeze": 0.0, "learning_rate": 1e-3}
    start = time.perf_counter()
    taken = epochs(rows, options, Phase(epochs=number, augment=False, **phase), Augment())
    cached = time.perf_counter() - start
    # A turn by nothing: the backbone has to run for every batch.
    ordinary = epochs(rows, options, Phase(epochs=2, **phase), Augment(rotation=1e-9))
    whole = ordinary[0] + (number - 1) * ordinary[1]
    print(
        f"{number} epochs of {len(rows.train)} photos, backbone frozen: {cached:.1f} s with all "
        f"that is around them ({sum(taken):.1f} s of it the epochs), {whole:.1f} s without cached "
        f"features (from two epochs): {whole / cached:.1f} times"
    )


def augmenting(canvases: np.ndarray, options: argparse.Namespace) -> None:
    """Prints seconds of a batch, ours and as Keras layers."""
    layers = keras.Sequential(
        [
            keras.layers.RandomFlip(),
            keras.layers.RandomRotation(30 / 360),
            keras.layers.RandomZoom((-0.45, 0.0)),
            keras.layers.RandomBrightness(0.15, value_range=(0, 255)),
            keras.layers.RandomContrast(0.15, value_range=(0, 255)),
            keras.layers.RandomSaturation(0.5, value_range=(0, 255)),
            keras.layers.RandomHue(10 / 180, value_range=(0, 255)),
            keras.layers.Resizing(options.size, options.size),
        ]
    )
    without = Augment(**ALL.model_dump() | {"mixup": 0.0})
    theirs = tf.function(lambda x: layers(x, training=True))
    ours = tf.function(lambda x, drawn: augmentation.apply(x, drawn, options.size, without))
    photos = tf.constant(canvases.astype(np.float32))
    keys = np.arange(len(canvases), dtype=np.uint64)
    u = uniforms(keys, np.zeros(len(keys), np.int64), 0, 0, augmentation.UNIFORMS)
    canvas = canvases.shape[1]

    def fused() -> None:
        drawn = augmentation.draw(without, u, canvas, options.size)
        ours(photos, tf.constant(drawn)).numpy()

    def one_by_one() -> None:
        theirs(photos).numpy()

    seconds: dict[str, list[float]] = {"fused": [], "layers": []}
    for turn in range(3 * options.rounds + 1):
        for name, way in (("fused", fused), ("layers", one_by_one)):
            start = time.perf_counter()
            way()
            if turn:  # the first traces
                seconds[name].append(time.perf_counter() - start)
    fast, slow = (statistics.median(seconds[name]) for name in ("fused", "layers"))
    print(
        f"augmentation of {len(canvases)} photos: {1000 * fast:.0f} ms fused, {1000 * slow:.0f} ms "
        f"as Keras layers: {slow / fast:.1f} times"
    )


def folding(rows: Rows, options: argparse.Namespace) -> None:
    """Prints images per second of processors, with normalisations folded in and without."""
    model = network(options).model
    images = tf.image.resize(rows.canvases, (options.size, options.size))
    batches = _batches(images, options)
    networks = {"as it is": model, "folded": baked(model)}
    ways = {name: _answering(each) for name, each in networks.items()}
    answers = {name: way(batches[0]).numpy() for name, way in ways.items()}  # traces
    plain, quick = _processor_seconds(list(ways.values()), batches, options.rounds)
    apart = np.abs(answers["as it is"] - answers["folded"]).max()
    apart /= np.abs(answers["as it is"]).max()
    print(
        f"{options.backbone}, folded: {len(images) / quick:.1f} images per second of processors, "
        f"as it is {len(images) / plain:.1f}: {plain / quick:.2f} times; logits {apart:.0e} apart"
    )


def kernels(rows: Rows, options: argparse.Namespace) -> None:
    """Prints images per second of processors, with each gradient of wide depthwise kernels."""
    classifier = network(options)
    unfreeze(classifier, options.unfreeze)
    images = tf.image.resize(rows.canvases, (options.size, options.size))
    batches, steps = _batches(images, options), []
    for is_quicker in (depthwise.is_quicker, lambda layer, x: False):
        with mock.patch.object(depthwise, "is_quicker", is_quicker):
            steps.append(_gradients(classifier.model))
            steps[-1](batches[0])  # traces
    ours, theirs = _processor_seconds(steps, batches, options.rounds)
    print(
        f"{options.backbone}, gradients: {len(images) / ours:.1f} images per second of processors, "
        f"{len(images) / theirs:.1f} with oneDNN's of wide kernels: {theirs / ours:.2f} times"
    )


def _batches(images: tf.Tensor, options: argparse.Namespace) -> list[tf.Tensor]:
    size = options.batch_size
    return [images[start : start + size] for start in range(0, len(images), size)]


def _processor_seconds(
    ways: Sequence[Callable[[tf.Tensor], tf.Tensor]], batches: Sequence[tf.Tensor], rounds: int
) -> list[float]:
    """Of a pass over the batches by each way, in turn; medians."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, taken in zip(ways, seconds, strict=True):
            start = time.process_time()
            for batch in batches:
                way(batch).numpy()
            taken.append(time.process_time() - start)
    return [statistics.median(each) for each in seconds]


def _gradients(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    view, variables = folded(model), [variable.value for variable in model.trainable_variables]

    @tf.function
    def norm(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(view(x, training=True)))
        return tf.linalg.global_norm(tape.gradient(loss, variables))

    return norm


def _answering(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    answer: Callable[[tf.Tensor], tf.Tensor] = tf.function(lambda x: model(x, training=False))
    return answer


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
