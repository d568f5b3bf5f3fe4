"""What the tests of several rooms share: a drawn set, a network small enough to train in a second.

Imports of TensorFlow stay inside the fixtures, so that tests without it start at once.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Nothing of the browser's own may reach for a network, or look like a page that does.
BROWSER_FLAGS = (
    "--no-sandbox",  # Chromium refuses to run as root with one
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
HTML = '<img src=x onerror="alert(1)"> & "b", \'c\' $x_1$'
CLASS_NAMES = ("tinea", "acne, mild", 'the "other"')

# A shell that starts the suite in the background has it ignore Ctrl-C, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The files that take longest, each at a worker of its own from the start: what is begun last ends
# last, and the other workers would wait.
LONG = [
    "test_train.py",
    "faults/test_disk.py",
    "test_notebook.py",
    "faults/test_resume.py",
    "faults/test_running.py",
    "training/test_fitting.py",
    "serving/test_export.py",
    "models/test_zoo.py",
    "test_predict.py",
    "tuning/test_tune.py",
    "training/test_keeping.py",
    "serving/test_ensemble.py",
    "test_train_metadata.py",
    "explanation/test_methods.py",
    "pages/test_browser.py",
    "models/test_transformers.py",
]
settings.register_profile("shared_machine", deadline=None)
settings.load_profile("shared_machine")


def pytest_configure(config: pytest.Config) -> None:
    """Has xdist keep the order of files, which else begins with those of most tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the long files first."""
    place = {Path(__file__).parent / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session")
def drawn_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred drawn photos in the competition's layout; read it, do not write to it."""
    from ajl_tf.dataset.phantom import draw_set

    return draw_set(tmp_path_factory.mktemp("drawn") / "set", 100, 48, 0)


@pytest.fixture(scope="session")
def real_set() -> Path:
    """The competition's own folder, where the variable AJL_DATA names it."""
    if not (folder := os.environ.get("AJL_DATA")):
        pytest.skip("AJL_DATA names no competition folder")
    return Path(folder)


@pytest.fixture(scope="module")
def tiny_backbone() -> Iterator[str]:
    """Puts the backbone `tiny` into the zoo for as long as a module's tests run."""
    from ajl_tf.models.zoo import BACKBONES

    with pytest.MonkeyPatch.context() as patch:
        add_tiny_backbone(lambda name, record: patch.setitem(BACKBONES, name, record))
        yield "tiny"


@pytest.fixture
def thin_efficientnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """`efficientnet_lite0` with a quarter of its channels and no block more than its code makes."""
    from ajl_tf.models.efficientnet_lite import efficientnet_lite
    from ajl_tf.models.zoo import BACKBONES

    build = functools.partial(efficientnet_lite, width=0.25, depth=0.1)
    record = dataclasses.replace(BACKBONES["efficientnet_lite0"], build=build)
    monkeypatch.setitem(BACKBONES, "efficientnet_lite0", record)


@pytest.fixture(scope="module")
def blank_figures() -> Iterator[None]:
    """Leaves every figure empty, of its size: drawing them is a third of a tiny training."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def draw(canvas: Any) -> None:
        canvas.renderer = canvas.get_renderer()

    def save(figure: Figure, file: Any, **_: object) -> None:
        file.write("<svg></svg>")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureCanvasAgg, "draw", draw)
        patch.setattr(Figure, "savefig", save)
        yield


@pytest.fixture(scope="session")
def tiny_classifiers() -> list[Any]:
    """Two networks of the backbone `tiny` to three logits, untrained, but of firm opinions."""
    import keras
    import numpy as np

    from ajl_tf.models.classifier import build_classifier
    from ajl_tf.models.zoo import BACKBONES

    with pytest.MonkeyPatch.context() as patch:
        add_tiny_backbone(lambda name, record: patch.setitem(BACKBONES, name, record))
        made = [build_classifier("tiny", "none", size, 3, 0.0) for size in (32, 40)]
    rng = np.random.default_rng(1)
    for classifier in made:
        for layer in classifier.model.layers:
            if isinstance(layer, keras.layers.Conv2D):
                layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.weights])
        kernel, bias = (rng.normal(0, 4, w.shape) for w in classifier.head.weights)
        # So that each class is the most probable of some drawn photos.
        classifier.head.set_weights([kernel, bias + np.array([0.6, 0.0, 2.0])])
    return made


@pytest.fixture(scope="session")
def saved_model(tiny_classifiers: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of them as a SavedModel: canvases of 40 pixels, three classes of awkward names."""
    from ajl_tf.serving.savedmodel import Member, Server, save

    server = Server([Member(tiny_classifiers[0].model, 32)], CLASS_NAMES, 40, "cover")
    return save(server, tmp_path_factory.mktemp("saved") / "tiny", {})


def add_tiny_backbone(add: Any) -> None:
    """Calls `add(name, record)`; a function of its own for the tests' subprocesses."""
    from ajl_tf.models.zoo import BACKBONES

    record = dataclasses.replace(
        BACKBONES["mobilenet_v2"], name="tiny", input_size=32, build=_two_convolutions
    )
    add("tiny", record)


def _two_convolutions(x: Any) -> Any:
    from keras import layers

    for number, filters in enumerate((4, 8), start=1):
        x = layers.Conv2D(filters, 3, strides=3, use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    return x


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium for pages; skipped without one, unless it is asked for."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        why = f"no browser: none of {', '.join(BROWSERS)} is installed"
        if os.environ.get("AJL_BROWSER") == "required":
            pytest.fail(why)
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(BROWSER_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def evaluated(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluated CSV: every section, photos, overlays, two models.

    predictions.csv, other.csv and manifest.csv are beside the folder; one condition is called as no
    markup may be.
    """
    import numpy as np
    import pandas as pd
    from PIL import Image

    from ajl_tf import evaluate

    folder = tmp_path_factory.mktemp("evaluated")
    rows = pd.concat([pd.read_csv(drawn_set / "train.csv")] * 2, ignore_index=True)
    stem = rows["md5hash"]
    rows["label"] = rows["label"].replace("drawn-ring", HTML)
    rows["path"] = str(drawn_set / "train" / "train") + "/" + rows["label"] + "/" + stem + ".jpg"
    rows["path"] = rows["path"].str.replace(HTML, "drawn-ring", regex=False)
    rows["image_id"] = stem + np.where(rows.index < len(rows) // 2, "", "-again")
    rows = rows.rename(columns={"fitzpatrick_scale": "skin_tone"})
    rows["fold"] = rows.index % 3
    rows["group_id"] = stem
    kept = ["image_id", "path", "label", "skin_tone", "group_id", "fold", "fitzpatrick_centaur"]
    tree = ["nine_partition_label", "three_partition_label"]
    red = rows["three_partition_label"] == "drawn-red"
    rows.loc[red, "three_partition_label"] = "malignant"
    rows[kept + tree].to_csv(folder / "manifest.csv", index=False)
    names = sorted(rows["label"].unique())
    for name, skill in (("predictions", 3.0), ("other", 1.5)):
        rng = np.random.default_rng(int(skill * 10))
        scores = rng.normal(size=(len(rows), len(names)))
        scores[np.arange(len(rows)), [names.index(label) for label in rows["label"]]] += skill
        chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        table = pd.DataFrame(chances, columns=[f"prob_{each}" for each in names])
        table.insert(0, "predicted", np.asarray(names, dtype=object)[chances.argmax(axis=1)])
        table.insert(0, "image_id", rows["image_id"])
        table.assign(fold=rows["fold"]).to_csv(folder / f"{name}.csv", index=False)
    (folder / "overlays").mkdir()
    for image_id in rows["image_id"][:40]:
        Image.new("RGB", (90, 30), "teal").save(folder / "overlays" / f"{image_id}.png")
    arguments = ["--by", "fitzpatrick_centaur", "--with-images"]
    for option, name in (
        ("--manifest", "manifest.csv"),
        ("--against", "other.csv"),
        ("--overlays", "overlays"),
        ("--out", "out"),
    ):
        arguments += [option, str(folder / name)]
    assert evaluate.main([str(folder / "predictions.csv"), *arguments]) == 0
    return folder / "out"
