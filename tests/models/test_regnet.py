"""RegNet-Y answers as torchvision's does, with the weights file that PyTorch wrote of it.

`fixtures/make_torch_answers.py` wrote both.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ajl_tf.errors import UserError
from ajl_tf.models.backbones import BACKBONES, build_backbone
from ajl_tf.models.regnet import regnet, torch_tensors

FIXTURES = Path(__file__).parent / "fixtures"
DEPTHS, WIDTHS = (1, 2, 1, 1), (8, 16, 24, 32)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    record = dataclasses.replace(
        BACKBONES["regnet_y_400mf"],
        build=partial(regnet, depths=DEPTHS, widths=WIDTHS, group=8),
        torch_tensors=partial(torch_tensors, DEPTHS, WIDTHS),
    )
    monkeypatch.setitem(BACKBONES, "regnet_y_400mf", record)


@pytest.mark.parametrize("size", [64, 75])
def test_answers_as_torchvision_does(size: int) -> None:
    row, column, channel = np.meshgrid(range(size), range(size), range(3), indexing="ij")
    image = (7 * row + 5 * column + 83 * channel + row * column // 16) % 256
    model = build_backbone("regnet_y_400mf", size, str(FIXTURES / "regnet_tiny.pth"))
    expected = np.load(FIXTURES / "torch_answers.npz")[f"regnet_{size}"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(model.predict(image[None], verbose=0), expected, atol=1e-5)


def test_every_tensor_but_the_top_has_its_layer() -> None:
    from ajl_tf.models.torch_file import read_state_dict

    there = {name for names in torch_tensors(DEPTHS, WIDTHS).values() for name in names}
    file = set(read_state_dict(FIXTURES / "regnet_tiny.pth"))
    assert there == {name for name in file if not name.startswith("fc") and "tracked" not in name}


def test_a_file_of_another_regnet_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    deeper = dataclasses.replace(
        BACKBONES["regnet_y_400mf"],
        build=partial(regnet, depths=(1, 2, 1, 2), widths=WIDTHS, group=8),
        torch_tensors=partial(torch_tensors, (1, 2, 1, 2), WIDTHS),
    )
    monkeypatch.setitem(BACKBONES, "regnet_y_400mf", deeper)
    with pytest.raises(UserError, match=r"block4-1\.f\.a\.0\.weight: missing"):
        build_backbone("regnet_y_400mf", 64, str(FIXTURES / "regnet_tiny.pth"))
