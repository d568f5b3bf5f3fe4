"""Minutes to a validation score: our default beside what a newcomer writes from the Keras guide.

    python benchmarks/time_to_score.py --data data/ --newcomer-weights FILE

One leak-free split of all rows, four fifths to train and one to score, the same for both. Ours is
`python -m ajl_tf.train` as a user starts it, but with that split and one answer a photo while it
trains. The newcomer's is the guide "Transfer learning and fine-tuning" (keras.io): photos by
`image_dataset_from_directory`, random flips and turns as layers, MobileNetV2 at 224 pixels, a
frozen phase with Adam as it comes, then all layers at a rate of 1e-5 with BatchNormalization as it
was. The guide says that `base(x, training=False)` sees to the latter; in Keras 3 it does not, and
the script as written forgets what it knew (github.com/keras-team/keras/issues/20285), so that the
layers are held still one by one here; `--as-written` leaves them. Both score the same photos after
each epoch; the minutes count from the start of the command and hold whatever it does, the scoring
included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ajl_tf.errors import UserError, run_verb

AIMS = (0.45, 0.50, 0.55, 0.60)
NEWCOMER_EPOCHS = (10, 10_000)  # frozen, then unfrozen until it is ended
Scores = list[tuple[float, float]]  # minutes, weighted F1


def main(argv: Sequence[str] | None = None) -> int:
    """Prints when each aim was reached, ours first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument(
        "--experiment", type=Path, default=Path("experiments/efficientnet_lite0.toml")
    )
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE")
    parser.add_argument(
        "--newcomer-weights", default="imagenet", help="of MobileNetV2 without its top, or a file"
    )
    parser.add_argument("--as-written", action="store_true", help="the guide's script as it is")
    parser.add_argument("--minutes", type=float, default=60.0, help="after which either is ended")
    parser.add_argument("--newcomer", type=Path, help=argparse.SUPPRESS)  # of the child
    parser.add_argument(
        "--newcomer-epochs", type=int, nargs=2, default=NEWCOMER_EPOCHS, help=argparse.SUPPRESS
    )
    options = parser.parse_args(argv)
    if options.newcomer:
        weights = None if options.newcomer_weights == "none" else options.newcomer_weights
        newcomer(options.newcomer, weights, options.as_written, options.newcomer_epochs)
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _tell("ours", list(_ours(options, folder)), options.minutes)
        _link(folder)
        _tell("newcomer", list(_newcomers(options, folder)), options.minutes)
    return 0


def _tell(who: str, scores: Scores, limit: float) -> None:
    for aim in AIMS:
        reached = next((minutes for minutes, score in scores if score >= aim), None)
        when = f"not in {limit:g} minutes or by its end" if reached is None else f"{reached:.1f}"
        print(f"{who}: {aim:.2f} weighted F1: {when}")
    minutes, best = max(scores, key=lambda each: each[1], default=(0.0, float("nan")))
    last = scores[-1][0] if scores else 0.0
    print(f"{who}: best {best:.3f} after {minutes:.1f} minutes; last scored after {last:.1f}")
    print(f"{who}: " + " ".join(f"{m:.1f}:{s:.3f}" for m, s in scores), flush=True)


def _ours(options: argparse.Namespace, folder: Path) -> Iterator[tuple[float, float]]:
    places = [f"--{name}={folder / name}" for name in ("runs", "splits", "cache", "saved-models")]
    settings = ["split.name=time-to-score", "split.scheme=80/20", "model.views=none", *options.set]
    command = [sys.executable, "-m", "ajl_tf.train", str(options.experiment), "--no-export"]
    command += ["--data", str(options.data), *places]
    for setting in settings:
        command += ["--set", setting]
    start, told = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and time.monotonic() - start < 60 * options.minutes:
            time.sleep(1)
            for path in (folder / "runs").glob("*/**/history.jsonl"):
                lines = path.read_text(encoding="utf-8").splitlines()
                now = (time.monotonic() - start) / 60
                for line in lines[told:]:
                    yield now, json.loads(line)["val_weighted_f1"]
                told = len(lines)
        if process.poll() is None:
            process.terminate()
        elif process.returncode:
            raise UserError(f"the training ended with exit code {process.returncode}")


def _link(folder: Path) -> None:
    """Puts the photos of both sides where `image_dataset_from_directory` looks for them."""
    import pandas as pd

    (path,) = (folder / "runs").glob("*/manifest.csv")
    rows = pd.read_csv(path, dtype=str)
    for side, photo, label in zip(rows["split"], rows["path"], rows["label"], strict=True):
        place = folder / "photos" / side / label
        place.mkdir(parents=True, exist_ok=True)
        (place / Path(photo).name).symlink_to(Path(photo).resolve())


def _newcomers(options: argparse.Namespace, folder: Path) -> Iterator[tuple[float, float]]:
    command = [sys.executable, __file__, "--newcomer", str(folder / "photos")]
    command += ["--newcomer-weights", options.newcomer_weights]
    command += ["--as-written"] if options.as_written else []
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            minutes = (time.monotonic() - start) / 60
            if minutes > options.minutes:
                process.kill()
                return
            if line.startswith("{"):
                yield minutes, json.loads(line)["val_f1_score"]
    if process.returncode:
        raise UserError(f"the newcomer's script ended with exit code {process.returncode}")


def newcomer(photos: Path, weights: str | None, as_written: bool, epochs: Sequence[int]) -> None:
    """The guide's script, but for the line that each epoch prints."""
    import keras

    told = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda _, logs: print(json.dumps(logs), flush=True)
    )
    train, validation = (
        keras.utils.image_dataset_from_directory(
            photos / side, image_size=(224, 224), batch_size=32, label_mode="categorical"
        )
        for side in ("train", "validation")
    )
    base = keras.applications.MobileNetV2(
        weights=weights, input_shape=(224, 224, 3), include_top=False
    )
    base.trainable = False
    inputs = keras.Input((224, 224, 3))
    x = keras.layers.RandomFlip("horizontal")(inputs)
    x = keras.layers.RandomRotation(0.1)(x)
    x = keras.layers.Rescaling(scale=1 / 127.5, offset=-1)(x)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    outputs = keras.layers.Dense(len(train.class_names), activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    train, validation = train.prefetch(2), validation.prefetch(2)
    print("begins", flush=True)
    for trainable, optimizer, number in (
        (False, keras.optimizers.Adam(), epochs[0]),
        (True, keras.optimizers.Adam(1e-5), epochs[1]),
    ):
        base.trainable = trainable
        for layer in base.layers:
            if isinstance(layer, keras.layers.BatchNormalization) and not as_written:
                layer.trainable = False
        model.compile(
            optimizer,
            "categorical_crossentropy",
            metrics=[keras.metrics.F1Score(average="weighted")],
        )
        model.fit(train, validation_data=validation, epochs=number, verbose=0, callbacks=[told])


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
