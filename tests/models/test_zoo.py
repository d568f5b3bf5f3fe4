"""The zoo: each family trains in both phases, is exported and comes back; published sizes.

`AJL_ZOO=1 pytest -s tests/models/test_zoo.py -k whole` builds every backbone at its own size and
lets it answer once; it takes long, and some 8 GB of memory. `AJL_ZOO=vit` does so for those whose
names have `vit` in them.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications.convnext import ConvNeXt
from keras.src.applications.densenet import DenseNet
from keras.src.applications.efficientnet import EfficientNet

from ajl_tf.errors import UserError
from ajl_tf.models.backbones import BACKBONES, build_backbone
from ajl_tf.models.classifier import build_classifier, load_classifier, unfreeze
from ajl_tf.models.regnet import regnet
from ajl_tf.models.swin import swin
from ajl_tf.models.vision_transformer import vision_transformer
from ajl_tf.serving.savedmodel import Member, Server, save

# A family, a small size for it, and the first layer of its upper part.
FAMILIES = {
    "convnext_tiny": (32, "convnext_tiny_stage_3_block_0_depthwise_conv"),
    "efficientnet_b0": (32, "block7a_expand_conv"),
    "densenet121": (32, "conv5_block2_1_conv"),
    "xception": (71, "block14_sepconv1"),
    "inception_v3": (75, 0.1),
    "regnet_y_400mf": (32, "stage4_block1_a_conv"),
    "vit_base_patch16_224": (32, "block2_attention_norm"),
    "dinov2_base": (42, "block2_attention_norm"),
    "swin_tiny_patch4_window7_224": (32, "stage2_block2_attention_norm"),
}
# With AJL_ZOO only, for they take long: families that Keras itself builds, one of another's code,
# and two whose answers are compared with other implementations' in any case.
SLOW = (
    *("convnext_tiny", "efficientnet_b0", "densenet121", "xception", "inception_v3"),
    *("dinov2_base", "regnet_y_400mf", "swin_tiny_patch4_window7_224"),
)
# Fewer and thinner layers where a family has a size; the code is that of the real ones.
VIT = partial(vision_transformer, depth=2, width=16, heads=2)


def thin(family: Any, *sizes: Any, **options: Any) -> Any:
    """What builds a network of Keras's by the function behind its family."""
    return lambda x: (
        family(*sizes, include_top=False, weights=None, input_tensor=x, **options).output
    )


SMALL: dict[str, Any] = {
    "convnext_tiny": thin(
        ConvNeXt, (1, 1, 1, 1), (8, 16, 24, 32), name="convnext_tiny", include_preprocessing=False
    ),
    "efficientnet_b0": thin(EfficientNet, 0.1, 0.1, 32),
    "densenet121": thin(DenseNet, (1, 1, 1, 2)),
    "regnet_y_400mf": partial(regnet, depths=(1, 1, 1, 1), widths=(8, 8, 16, 24), group=8),
    "vit_base_patch16_224": partial(VIT, patch=16),
    "dinov2_base": partial(VIT, patch=14, scaled=True),
    "swin_tiny_patch4_window7_224": partial(swin, width=8, depths=(2, 2), heads=(1, 2), window=3),
}
CLASSES = 3

# Parameters with a classifier of 1,000 classes, as published, and the channels before it. First
# the trainable ones, torchvision 0.28's `Weights.meta["num_params"]`. Then all of them, of which
# https://keras.io/api/applications/ has millions and each model's summary every digit: for what
# torchvision lacks, ResNet50 (Keras's has biases) and Inception (torchvision's: two classifiers).
TORCHVISION = {
    "mobilenet_v2": (3_504_872, 1280),
    "densenet121": (7_978_856, 1024),
    "efficientnet_b0": (5_288_548, 1280),
    "efficientnet_b1": (7_794_184, 1280),
    "efficientnet_b2": (9_109_994, 1408),
    "efficientnet_b3": (12_233_232, 1536),
    "efficientnet_b4": (19_341_616, 1792),
    "efficientnet_b5": (30_389_784, 2048),
    "efficientnet_b6": (43_040_704, 2304),
    "efficientnet_b7": (66_347_960, 2560),
    "efficientnetv2_s": (21_458_488, 1280),
    "efficientnetv2_m": (54_139_356, 1280),
    "efficientnetv2_l": (118_515_272, 1280),
    "convnext_tiny": (28_589_128, 768),
    "convnext_small": (50_223_688, 768),
    "convnext_base": (88_591_464, 1024),
    "convnext_large": (197_767_336, 1536),
    "regnet_y_400mf": (4_344_144, 440),
    "regnet_y_800mf": (6_432_512, 784),
    "regnet_y_1_6gf": (11_202_430, 888),
    "regnet_y_3_2gf": (19_436_338, 1512),
    "regnet_y_8gf": (39_381_472, 2016),
    "regnet_y_16gf": (83_590_140, 3024),
    "regnet_y_32gf": (145_046_770, 3712),
    "regnet_y_128gf": (644_812_894, 7392),
    "vit_base_patch16_224": (86_567_656, 768),
    "vit_large_patch16_224": (304_326_632, 1024),
    "swin_tiny_patch4_window7_224": (28_288_354, 768),
    "swin_small_patch4_window7_224": (49_606_258, 768),
    "swin_base_patch4_window7_224": (87_768_224, 1024),
}
KERAS = {
    "resnet50": (25_636_712, 2048),
    "resnet50_v2": (25_613_800, 2048),
    "xception": (22_910_480, 2048),
    "inception_v3": (23_851_784, 2048),
}
OPTED = os.environ.get("AJL_ZOO", "")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, build in SMALL.items():
        record = dataclasses.replace(BACKBONES[name], build=build)
        monkeypatch.setitem(BACKBONES, name, record)


def values(layers: list[Any]) -> dict[str, np.ndarray]:
    return {w.path: np.array(w) for layer in layers for w in layer.weights}


def step(model: Any, photos: np.ndarray) -> None:
    """One step of training.

    Eagerly, which is quicker than to trace it, but for grouped convolutions: Keras compiles each of
    them anew at every eager call.
    """
    grouped = any(getattr(layer, "groups", 1) > 1 for layer in model.layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=not grouped, jit_compile=False)
    assert np.isfinite(model.train_on_batch(photos, np.arange(len(photos)) % CLASSES))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", [name for name in FAMILIES if OPTED or name not in SLOW])
def test_a_family_trains_in_both_phases_and_is_exported(name: str, tmp_path: Path) -> None:
    size, upper = FAMILIES[name]
    keras.utils.set_random_seed(0)
    photos = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype("float32")
    classifier = build_classifier(name, "none", size, CLASSES, dropout=0.0)
    model, backbone = classifier.model, classifier.features.layers

    before = values(backbone)
    unfreeze(classifier, 0.0)
    step(model, photos)
    after = values(backbone)
    assert all(np.array_equal(after[path], before[path]) for path in before)

    trained = unfreeze(classifier, upper)
    step(model, photos)
    moved = [
        layer
        for layer in backbone
        if any(not np.array_equal(new, after[path]) for path, new in values([layer]).items())
    ]
    assert 0 < len(moved) <= trained < sum(bool(layer.weights) for layer in backbone)
    assert all(layer.trainable for layer in moved)
    norms = [x for x in model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    assert not any(norm.trainable for norm in norms)

    expected = tf.nn.softmax(model.predict(photos, verbose=0)).numpy()
    names = [f"class {number}" for number in range(CLASSES)]
    folder = save(Server([Member(model, size)], names, size, "cover"), tmp_path / "saved", {})
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    for count in (1, 2):
        answer = served(images=tf.constant(photos[:count].astype("uint8")))["probabilities"]
        np.testing.assert_allclose(answer, expected[:count], rtol=1e-3, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = load_classifier(tmp_path / "model.keras")
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    for new, old in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(new, old)


def count(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


@pytest.mark.parametrize("name", ["regnet_y_400mf", "swin_tiny_patch4_window7_224"])
def test_the_number_of_parameters_is_the_published_one(name: str) -> None:
    with keras.StatelessScope():  # in which no number is drawn
        model = build_backbone(name, BACKBONES[name].input_size, "none")
    check_parameters(name, model)


def check_parameters(name: str, model: Any) -> None:
    assert count(model.weights) == BACKBONES[name].parameters
    if name in TORCHVISION:
        published, channels = TORCHVISION[name]
        assert count(model.trainable_weights) == published - 1000 * (channels + 1)
    if name in KERAS:
        published, channels = KERAS[name]
        assert count(model.weights) == published - 1000 * (channels + 1)


def test_sizes_that_a_family_cannot_take_are_refused() -> None:
    for name, size, reason in [
        ("xception", 70, "at least 71 pixels"),
        ("inception_v3", 74, "at least 75 pixels"),
        ("vit_base_patch16_224", 250, "a multiple of 16"),
        ("dinov2_base", 224 + 7, "a multiple of 14"),
    ]:
        with pytest.raises(UserError, match=f"{reason} for {name}.* Received: {size}"):
            build_backbone(name, size, "none")


@pytest.mark.skipif(not OPTED, reason="takes long; AJL_ZOO=1 runs it")
@pytest.mark.parametrize("name", [n for n in BACKBONES if OPTED == "1" or OPTED in n])
def test_the_whole_zoo_answers(name: str) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    backbone = BACKBONES[name]
    start = time.process_time()
    model = build_backbone(name, backbone.input_size, "none")
    built = time.process_time() - start
    size = backbone.input_size
    photo = np.random.default_rng(0).uniform(0, 255, (1, size, size, 3)).astype("float32")
    features = model.predict(photo, verbose=0)
    answered = time.process_time() - start - built
    # A line of the table; the seconds are the processor's.
    print(f"\n{name} {size} {count(model.weights)} {features.shape[1:]} {built:.1f} {answered:.1f}")
    assert features.ndim == 4
    assert np.isfinite(features).all()
    check_parameters(name, model)
