"""bfloat16: near the answers in float32, and refused where it would not do what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ajl_tf import predict
from ajl_tf.errors import run_verb
from ajl_tf.serving import precision

OPTION = "auto_mixed_precision_onednn_bfloat16"


@pytest.fixture(autouse=True)
def float32_again() -> Iterator[None]:
    """The option holds for the process, and so for every test after this one."""
    yield
    tf.config.optimizer.set_experimental_options({OPTION: False})


def predicted(model: Path, drawn_set: Path, out: Path, *options: str) -> pd.DataFrame:
    words = [str(model), str(drawn_set / "test" / "test"), "--out", str(out), *options]
    assert run_verb(predict.main, words) == 0
    return pd.read_csv(out).set_index("image_id")


@pytest.mark.skipif(not precision.has_bfloat16(), reason="this processor has no bfloat16")
def test_probabilities_are_near_those_in_float32(
    saved_model: Path, drawn_set: Path, tmp_path: Path
) -> None:
    exact = predicted(saved_model, drawn_set, tmp_path / "exact.csv")
    near = predicted(saved_model, drawn_set, tmp_path / "near.csv", "--bfloat16")
    assert list(near) == list(exact)
    assert near.index.equals(exact.index)
    columns = [name for name in exact if name.startswith("prob_")]
    apart = np.abs(near[columns].to_numpy() - exact[columns].to_numpy())
    assert 1e-5 < apart.max() < 0.02  # float32 twice is at most 1e-6 apart
    top = np.sort(exact[columns].to_numpy(), axis=1)
    clear = top[:, -1] - top[:, -2] > 0.04
    assert clear.any()
    assert (near["predicted"] == exact["predicted"])[clear].all()


def no_flag(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "cpuinfo").write_text("flags : fpu avx512f avx512_bf16x")
    patch.setattr(precision, "_PROCESSOR", folder / "cpuinfo")


def no_flags(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(precision, "_PROCESSOR", folder / "cpuinfo")


def no_onednn(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")


def with_a_gpu(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (no_flag, "needs a processor with avx512_bf16 or amx_bf16"),
        (no_flags, "needs a processor with avx512_bf16 or amx_bf16"),
        (no_onednn, "Unset it"),
        (with_a_gpu, "a GPU answers"),
    ],
)
def test_it_is_refused_where_it_would_do_nothing(
    where: Callable[[Path, pytest.MonkeyPatch], None],
    words: str,
    saved_model: Path,
    drawn_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where(tmp_path, monkeypatch)
    out, photos = tmp_path / "out.csv", drawn_set / "test" / "test"
    options = [str(saved_model), str(photos), "--out", str(out), "--bfloat16"]
    assert run_verb(predict.main, options) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("out.csv*"))
    assert not tf.config.optimizer.get_experimental_options().get(OPTION)
