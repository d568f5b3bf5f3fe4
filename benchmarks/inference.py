"""Batch inference: `predict` beside the bare network, OpenVINO and ONNX Runtime.

    pip install openvino onnx onnxruntime tf2onnx
    python benchmarks/inference.py --photos 256

JPEG files of a folder to a table of probabilities, on all cores:

1. `predict`: files to predictions.csv, all that the verb does once it has started;
2. a bare loop over the same SavedModel: tf.data decodes (`preprocess`), batches and prefetches, and
   nothing is written; what `predict` takes more than this is its own;
3. the SavedModel's network alone, on batches that lie in memory decoded;
4. decoding alone, on all cores: with both to do they reach 1 / (1 / network + 1 / decoding) photos
   a second if each keeps all cores busy by itself;
5. OpenVINO, asynchronous and tuned for throughput, with our decoding going on while it works;
6. ONNX Runtime, likewise;
7. `predict` in bfloat16, where the processor has it: left out by default.

Each in a process of its own, in turn, several rounds; a figure is the median. The network is the
one that is exported, folded as it is there, so that all answer alike; how far they are apart is
printed. Start-up is a figure of its own: from the start of the process to the first batch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ajl_tf import process

process.prepare()  # as every verb does, before TensorFlow is imported

import numpy as np  # noqa: E402

from ajl_tf.errors import run_verb  # noqa: E402

WAYS = ("predict", "bare loop", "network alone", "decoding alone", "openvino", "onnxruntime")
BFLOAT16 = "predict in bfloat16"
CLASSES = 21


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--photos", type=int, default=256)
    parser.add_argument("--photo-size", type=int, nargs=2, default=(320, 400))
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=(*WAYS, BFLOAT16))
    parser.add_argument("--way", help=argparse.SUPPRESS)  # what a child measures
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.way:
        print(json.dumps(measure(options)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        _make(options)
        seen: dict[str, list[dict[str, float]]] = {way: [] for way in options.ways}
        for _ in range(options.rounds):
            for way in options.ways:
                seen[way].append(_child(way, options))
        answers = {way: np.load(options.folder / f"{way}.npy") for way in options.ways}
    first = next(iter(answers.values()))
    medians = {}
    for way, rounds in seen.items():
        speeds = sorted(each["photos_per_second"] for each in rounds)
        medians[way] = statistics.median(speeds)
        start = statistics.median(each["start"] for each in rounds)
        line = f"{way:<15}{medians[way]:7.1f} photos/s ({speeds[0]:.1f} to {speeds[-1]:.1f}), "
        line += f"first batch after {start:.1f} s"
        if answers[way].shape == first.shape:
            line += f", probabilities at most {np.abs(answers[way] - first).max():.1e} apart"
        print(line)
    if {"predict", "bare loop"} <= medians.keys():
        print(f"predict has {medians['predict'] / medians['bare loop']:.3f} of the bare loop's")
    if {"predict", "network alone", "decoding alone"} <= medians.keys():
        bound = 1 / (1 / medians["network alone"] + 1 / medians["decoding alone"])
        print(f"predict reaches {medians['predict'] / bound:.3f} of {bound:.1f} photos/s")
    return 0


def _make(options: argparse.Namespace) -> None:
    """Photos, a SavedModel and the same network as ONNX."""
    from PIL import Image, ImageFilter

    rng = np.random.default_rng(0)
    height, width = options.photo_size
    (options.folder / "photos").mkdir()
    for number in range(options.photos):
        pixels = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        photo = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        photo = photo.filter(ImageFilter.GaussianBlur(1))
        photo.save(options.folder / "photos" / f"{number:06d}.jpg", quality=90)
    subprocess.run(
        [sys.executable, "-c", _EXPORT, json.dumps(vars(options), default=str)], check=True
    )


_EXPORT = """
import json, sys
from ajl_tf import process
process.prepare()
import keras
from pathlib import Path
from ajl_tf.models.classifier import build_classifier
from ajl_tf.serving.savedmodel import Member, Server, save
o = json.loads(sys.argv[1])
keras.utils.set_random_seed(0)
model = build_classifier(o["backbone"], o["weights"], o["size"], 21, 0.0).model
member, canvas = Member(model, o["size"]), round(o["size"] * 8 / 7)
server = Server([member], [f"condition {n:02d}" for n in range(21)], canvas, "cover")
folder = Path(o["folder"])
save(server, folder / "saved", {})
network = keras.Model(member.network.inputs, member.network.outputs[1])
if "onnxruntime" in o["ways"] or "openvino" in o["ways"]:
    network(keras.ops.zeros((1, o["size"], o["size"], 3)))  # it must have been called
    network.export(folder / "network.onnx", format="onnx", verbose=False)
"""


def _child(way: str, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--folder", str(options.folder)]
    for name in ("size", "batch_size"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    begun = time.time()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told | {"start": told["first"] - begun}


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Photos a second, the first batch left out, which traces; and when that was done."""
    from ajl_tf.serving.savedmodel import load

    if options.way == BFLOAT16:
        from ajl_tf.serving.precision import answer_in_bfloat16

        answer_in_bfloat16()
    model = load(options.folder / "saved" / "1")
    paths = sorted((options.folder / "photos").iterdir())
    seen: list[np.ndarray] = []
    first = begun = 0.0

    def take(probabilities: np.ndarray) -> None:
        nonlocal first, begun
        seen.append(probabilities)
        if len(seen) == 1:
            first, begun = time.time(), time.perf_counter()

    if options.way in ("predict", BFLOAT16):
        _predict(model, paths, options, take)
    else:
        for probabilities in WAY[options.way](model, paths, options):
            take(probabilities)
    seconds = time.perf_counter() - begun
    np.save(options.folder / f"{options.way}.npy", np.concatenate(seen))
    return {"photos_per_second": sum(map(len, seen[1:])) / seconds, "first": first}


def _predict(
    model: Any,
    paths: list[Path],
    options: argparse.Namespace,
    take: Callable[[np.ndarray], None],
) -> None:
    import pandas as pd

    from ajl_tf.assessment.predictions import prediction_lines
    from ajl_tf.serving.answering import empty_table, write_answers
    from ajl_tf.serving.batch import Answers, predict_photos
    from ajl_tf.serving.unfinished import under_way

    def answers() -> Iterator[Answers]:
        for answer in predict_photos(model, paths, options.batch_size):
            take(answer.probabilities)
            yield answer

    rows = pd.DataFrame({"image_id": [path.stem for path in paths]})
    empty = empty_table(rows, model, options.folder)
    out, header = options.folder / f"{time.time()}.csv", prediction_lines(empty, header=True)
    with under_way(out, {}, header, resume=False) as written:
        write_answers(model, rows, empty, answers(), written)


def _bare(model: Any, paths: list[Path], options: argparse.Namespace) -> Iterator[np.ndarray]:
    import tensorflow as tf

    from ajl_tf.dataset.untuned import untuned

    files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths]).map(tf.io.read_file)
    batches = files.map(model.preprocess, os.cpu_count()).batch(options.batch_size).prefetch(2)
    serve = model.signatures["serving_default"]
    for batch in untuned(batches, alone=True):
        yield serve(images=batch)["probabilities"].numpy()


def _alone(model: Any, paths: list[Path], options: argparse.Namespace) -> Iterator[np.ndarray]:
    import tensorflow as tf

    batches = [tf.constant(each) for each in _batches(model, paths, options)]
    serve = model.signatures["serving_default"]
    for batch in batches:
        yield serve(images=batch)["probabilities"].numpy()


def _decoding(model: Any, paths: list[Path], options: argparse.Namespace) -> Iterator[np.ndarray]:
    for batch in _batches(model, paths, options):
        yield batch[:, 0, 0, 0]


def _openvino(model: Any, paths: list[Path], options: argparse.Namespace) -> Iterator[np.ndarray]:
    import openvino as ov

    core = ov.Core()
    compiled = core.compile_model(
        core.read_model(options.folder / "network.onnx"), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"}
    )
    answers: dict[int, np.ndarray] = {}

    def keep(request: Any, number: int) -> None:
        answers[number] = _softmax(request.get_output_tensor(0).data.copy())

    queue = ov.AsyncInferQueue(compiled)
    queue.set_callback(keep)
    taken = 0
    for number, batch in enumerate(_batches(model, paths, options)):
        queue.start_async({0: _resized(batch, options.size)}, number)
        if number == 0:
            queue.wait_all()
        while taken in answers:
            yield answers.pop(taken)
            taken += 1
    queue.wait_all()
    yield from (answers[number] for number in sorted(answers))


def _onnxruntime(
    model: Any, paths: list[Path], options: argparse.Namespace
) -> Iterator[np.ndarray]:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(
        options.folder / "network.onnx", settings, providers=["CPUExecutionProvider"]
    )
    (name,) = (each.name for each in session.get_inputs())
    for batch in _batches(model, paths, options):
        yield _softmax(session.run(None, {name: _resized(batch, options.size)})[0])


def _batches(model: Any, paths: list[Path], options: argparse.Namespace) -> Iterator[np.ndarray]:
    """Canvases, decoded on all cores while what takes them works: our loader."""
    from ajl_tf.dataset.reading import read_photos

    waiting: list[np.ndarray | str] = []
    for canvas in read_photos(paths, model.preprocess):
        waiting.append(canvas)
        if len(waiting) == options.batch_size:
            yield np.stack(waiting)
            waiting = []
    if waiting:
        yield np.stack(waiting)


def _resized(batch: np.ndarray, size: int) -> np.ndarray:
    from ajl_tf.dataset.images import to_input

    resized: np.ndarray = to_input(batch, size).numpy()
    return resized


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return chances


WAY: dict[str, Callable[[Any, list[Path], argparse.Namespace], Iterator[np.ndarray]]] = {
    "bare loop": _bare,
    "network alone": _alone,
    "decoding alone": _decoding,
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
