"""ViT, DINOv2 and Swin answer as torchvision and keras-hub do on the same random weights.

`fixtures/torch_answers.npz` holds small networks of torchvision with their answers, and
`fixtures/make_torch_answers.py` is what wrote it.
"""

from __future__ import annotations

import dataclasses
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ajl_tf.errors import UserError
from ajl_tf.models import hub
from ajl_tf.models.backbones import BACKBONES, build_backbone
from ajl_tf.models.classifier import at_size
from ajl_tf.models.record import TORCH
from ajl_tf.models.swin import swin
from ajl_tf.models.vision_transformer import vision_transformer
from ajl_tf.models.windows import relative_places, shift_mask

ANSWERS = np.load(Path(__file__).parent / "fixtures" / "torch_answers.npz")
# As in the fixtures. Heads, depths and windows differ from one another, so that none stands in for
# another unnoticed.
SWIN = partial(swin, width=4, depths=(2, 2, 2, 1), heads=(1, 2, 2, 4), window=3)
VIT = partial(vision_transformer, patch=8, depth=2, width=8, heads=2)


def photo(size: int) -> np.ndarray:
    """The drawn picture that torchvision's networks saw."""
    row, column, channel = np.meshgrid(range(size), range(size), range(3), indexing="ij")
    image = (7 * row + 5 * column + 83 * channel + row * column // 16) % 256
    return np.asarray(image[None], "float32")


def put(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    """Replaces a backbone by a small one of its family."""
    monkeypatch.setitem(BACKBONES, name, dataclasses.replace(BACKBONES[name], **changes))


def state(network: str) -> dict[str, np.ndarray]:
    """Tensors that torchvision keeps of a network, convolution kernels in Keras's order of axes."""
    prefix = f"{network}."
    tensors = {n.removeprefix(prefix): ANSWERS[n] for n in ANSWERS.files if n.startswith(prefix)}
    return {n: t.transpose(2, 3, 1, 0) if t.ndim == 4 else t for n, t in tensors.items()}


def pair(tensors: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    """Weight and bias of a layer, kernels of dense layers turned."""
    weight = tensors[f"{name}.weight"]
    weight = weight.T if weight.ndim == 2 else weight
    bias = tensors.get(f"{name}.bias")
    return [weight] if bias is None else [weight, bias]


def test_vit_answers_as_torchvision_does(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, "vit_base_patch16_224", build=VIT, preprocessing=TORCH, multiple=8)
    model = build_backbone("vit_base_patch16_224", 32, "none")
    tensors = state("vit")
    arrays = {
        "patch_embedding": pair(tensors, "conv_proj"),
        "tokens": [tensors["class_token"][0, 0], tensors["encoder.pos_embedding"][0]],
        "norm": pair(tensors, "encoder.ln"),
    }
    for block in (1, 2):
        there = f"encoder.layers.encoder_layer_{block - 1}"
        kernels = np.split(tensors[f"{there}.self_attention.in_proj_weight"], 3)
        biases = np.split(tensors[f"{there}.self_attention.in_proj_bias"], 3)
        out = pair(tensors, f"{there}.self_attention.out_proj")
        projections = zip(kernels, biases, strict=True)
        arrays |= {
            f"block{block}_attention_norm": pair(tensors, f"{there}.ln_1"),
            f"block{block}_attention": [
                *(x for k, b in projections for x in (k.T.reshape(8, 2, 4), b.reshape(2, 4))),
                out[0].reshape(2, 4, 8),
                out[1],
            ],
            f"block{block}_mlp_norm": pair(tensors, f"{there}.ln_2"),
            f"block{block}_mlp_expand": pair(tensors, f"{there}.mlp.0"),
            f"block{block}_mlp_project": pair(tensors, f"{there}.mlp.3"),
        }
    hub.load_arrays(model, arrays)
    answer, tokens = np.asarray(model(photo(32)))[0], ANSWERS["vit_32"][0]
    assert answer.shape == (4, 4, 16)
    np.testing.assert_allclose(answer[..., :8].reshape(16, 8), tokens[1:], atol=1e-5)
    np.testing.assert_allclose(answer[..., 8:].mean((0, 1)), tokens[0], atol=1e-5)
    # So that average pooling, which the classifier does, gives the class token as it is.
    np.testing.assert_allclose(answer[..., 8:].std((0, 1)), 0, atol=1e-6)


@pytest.mark.parametrize(("built", "size"), [(96, 96), (70, 70), (96, 70), (70, 96)])
def test_swin_answers_as_torchvision_does_at_the_size_it_is_built_for_and_at_others(
    built: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, "swin_tiny_patch4_window7_224", build=SWIN)
    model = build_backbone("swin_tiny_patch4_window7_224", built, "none")
    tensors = state("swin")
    arrays = {
        "patch_embedding": pair(tensors, "features.0.0"),
        "patch_norm": pair(tensors, "features.0.2"),
        "norm": pair(tensors, "norm"),
    }
    for stage, depth in enumerate((2, 2, 2, 1), start=1):
        for block in range(depth):
            here, there = f"stage{stage}_block{block + 1}", f"features.{2 * stage - 1}.{block}"
            table = tensors[f"{there}.attn.relative_position_bias_table"]
            dense = [*pair(tensors, f"{there}.attn.qkv"), *pair(tensors, f"{there}.attn.proj")]
            arrays |= {
                f"{here}_attention_norm": pair(tensors, f"{there}.norm1"),
                f"{here}_attention": [table, *dense],
                f"{here}_mlp_norm": pair(tensors, f"{there}.norm2"),
                f"{here}_mlp_expand": pair(tensors, f"{there}.mlp.0"),
                f"{here}_mlp_project": pair(tensors, f"{there}.mlp.3"),
            }
        if stage > 1:
            merge = f"features.{2 * stage - 2}"
            arrays[f"stage{stage}_merge_norm"] = pair(tensors, f"{merge}.norm")
            arrays[f"stage{stage}_merge_reduce"] = pair(tensors, f"{merge}.reduction")
    hub.load_arrays(model, arrays)
    expected = ANSWERS[f"swin_{size}"].transpose(0, 2, 3, 1)
    answer = at_size(model, size)(photo(size))
    np.testing.assert_allclose(np.asarray(answer), expected, atol=1e-4)


def test_the_mask_parts_what_the_shift_joined() -> None:
    # By hand: four columns, windows of two, moved by one. The last window holds columns 3 and 0.
    mask = shift_mask((2, 4), 2, (0, 1))
    assert mask is not None
    assert mask.shape == (2, 4, 4)
    assert not mask[0].any()
    parted = np.array([[0, -100], [-100, 0]])
    np.testing.assert_array_equal(mask[1], np.tile(parted, (2, 2)))
    assert shift_mask((2, 4), 2, (0, 0)) is None
    assert relative_places(2).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


# --- Weights by keras-hub ---


@pytest.fixture(scope="module")
def keras_hub() -> Any:
    return pytest.importorskip("keras_hub")


def shaken(model: Any) -> Any:
    """Every weight away from where networks begin."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "interpolated" not in variable.path:
            variable.assign(variable + 0.1 * rng.normal(size=variable.shape))
    return model


SHAPE = (48, 48, 3)
# Small networks of keras-hub's, and the same of ours.
SMALL: dict[str, tuple[str, dict[str, Any], Any]] = {
    "vit_base_patch16_224": (
        "ViTBackbone",
        {
            "image_shape": SHAPE,
            "patch_size": 16,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": 8,
            "mlp_dim": 32,
        },
        partial(vision_transformer, patch=16, depth=2, width=8, heads=2),
    ),
    "dinov2_base": (
        "DINOV2Backbone",
        {
            "patch_size": 14,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": 8,
            "intermediate_dim": 32,
            "image_shape": (70, 70, 3),
            "position_embedding_shape": (70, 70),
        },
        partial(vision_transformer, patch=14, depth=2, width=8, heads=2, scaled=True),
    ),
    "swin_tiny_patch4_window7_224": (
        "SwinTransformerBackbone",
        {
            "image_shape": SHAPE,
            "embed_dim": 4,
            "depths": (2, 2),
            "num_heads": (1, 2),
            "window_size": 3,
        },
        partial(swin, width=4, depths=(2, 2), heads=(1, 2), window=3),
    ),
}


@pytest.fixture(scope="module")
def saved_presets(
    keras_hub: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Any]]:
    """Ours -> the folder of keras-hub's preset, and keras-hub's network."""
    found = {}
    for name, (kind, options, _) in SMALL.items():
        folder = tmp_path_factory.mktemp("presets") / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # keras-hub's Swin gives some to Keras 3.15
            shaken(getattr(keras_hub.models, kind)(**options)).save_to_preset(str(folder))
        found[name] = (folder, hub.fetch(folder))
    return found


@pytest.fixture
def presets(
    saved_presets: dict[str, tuple[Path, Any]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[Path, Any]]:
    for name, (_, _, build) in SMALL.items():
        put(monkeypatch, name, build=build)
    return saved_presets


def answer_of(theirs: Any, name: str, size: int) -> np.ndarray:
    """What keras-hub's network says to the drawn picture, normalized."""
    preprocessing = BACKBONES[name].preprocessing
    x = np.asarray((photo(size) - preprocessing.mean) / preprocessing.std, "float32")
    inputs = {"images": x} if isinstance(theirs.input, dict) else x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        return np.asarray(theirs.predict(inputs, verbose=0))[0]


def test_presets_answer_as_keras_hub_does(presets: dict[str, tuple[Path, Any]]) -> None:
    for name, (folder, theirs) in presets.items():
        size = theirs.image_shape[0]
        ours = np.asarray(build_backbone(name, size, str(folder))(photo(size)))[0]
        expected = answer_of(theirs, name, size)
        if not name.startswith("swin"):  # the class token comes first there, and beside each here
            np.testing.assert_allclose(ours[0, 0, 8:], expected[0], atol=1e-4)
            ours, expected = ours[..., :8], expected[1:]
        np.testing.assert_allclose(ours.reshape(expected.shape), expected, atol=1e-4)
        # The path of a file in the folder will do as well.
        build_backbone(name, size, str(folder / "model.weights.h5"))


def test_positions_of_another_size_are_those_of_keras_hub(
    keras_hub: Any, presets: dict[str, tuple[Path, Any]]
) -> None:
    folder, _ = presets["dinov2_base"]
    ours = build_backbone("dinov2_base", 42, str(folder))
    theirs = keras_hub.models.Backbone.from_preset(str(folder), image_shape=(42, 42, 3))
    expected = answer_of(theirs, "dinov2_base", 42)
    answer = np.asarray(ours(photo(42)))[0, ..., :8]
    np.testing.assert_allclose(answer.reshape(9, 8), expected[1:], atol=1e-4)


def test_a_preset_of_another_network_is_refused(
    presets: dict[str, tuple[Path, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "vit_base_patch16_224"
    for depth, width, problem in [
        (3, 8, "block3_attention: expected 8 arrays, received 0"),
        (1, 8, "block2_attention: this network has no such layer"),
        (2, 12, r"patch_embedding: expected \(16, 16, 3, 12\), received \(16, 16, 3, 8\)"),
    ]:
        build = partial(vision_transformer, patch=16, depth=depth, width=width, heads=2)
        put(monkeypatch, name, build=build)
        with pytest.raises(UserError, match=rf"do not fit {name}[^$]*{problem}"):
            build_backbone(name, 48, str(presets[name][0]))


def test_without_keras_hub_the_message_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "is_installed", lambda: False)
    with pytest.raises(UserError) as caught:
        build_backbone("swin_large_patch4_window12_384", 384, "imagenet")
    message = str(caught.value)
    assert 'pip install "ajl_tf[hub]" (or: pip install keras-hub)' in message
    for way in ("preset swin_large_patch4_window12_384", "efficientnet_lite0", '"none"'):
        assert way in message


def test_what_cannot_be_fetched_is_told(keras_hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(handle: str, path: str) -> str:
        raise ConnectionError(f"no network for {handle}")

    monkeypatch.setattr("kagglehub.model_download", offline)
    with pytest.raises(UserError, match=r"fetches from Kaggle.*no network for keras/vit/keras/"):
        build_backbone("vit_large_patch16_384", 384, "imagenet")


def test_each_preset_is_one_of_keras_hubs(keras_hub: Any) -> None:
    models = keras_hub.models
    known = {
        **models.ViTBackbone.presets,
        **models.SwinTransformerBackbone.presets,
        **models.DINOV2Backbone.presets,
    }
    for name, backbone in BACKBONES.items():
        if backbone.hub_arrays is not None:
            preset = known[backbone.imagenet.name]
            # keras-hub's DINOv2 has a second table of positions, and a token to mask patches with.
            width = {"dinov2_small": 384, "dinov2_base": 768, "dinov2_large": 1024}.get(name, 0)
            extra = width * (1 + 37**2 + 1)
            assert backbone.parameters + extra == preset["metadata"]["params"]


def test_a_transformer_is_flat_and_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, "vit_base_patch16_224", build=VIT, multiple=8)
    keras.utils.set_random_seed(0)
    model = build_backbone("vit_base_patch16_224", 32, "none")
    names = [layer.name for layer in model.layers if layer.weights]
    assert names[:3] == ["patch_embedding", "tokens", "block1_attention_norm"]
    assert names[-1] == "norm"
    with pytest.raises(UserError, match=r"at least 32 pixels and a multiple of 14 for dinov2_base"):
        build_backbone("dinov2_base", 224 + 1, "none")
