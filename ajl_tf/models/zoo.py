"""The zoo: one record for each backbone.

Importing this file imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

from ajl_tf.models import zoo_hub, zoo_keras, zoo_torch
from ajl_tf.models.record import Backbone

# By how their weights are had: with pip, by a download of Keras's or PyTorch's, through keras-hub.
_ALL = [*zoo_torch.LITE, *zoo_keras.RECORDS, *zoo_torch.REGNET, *zoo_hub.RECORDS]

BACKBONES: dict[str, Backbone] = {backbone.name: backbone for backbone in _ALL}
