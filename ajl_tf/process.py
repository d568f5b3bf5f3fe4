"""What a verb sets up in its process before TensorFlow is imported."""

from __future__ import annotations

import logging
import os


def prepare() -> None:
    """Sets TensorFlow's environment, leaving what the user has set.

    oneDNN's kernels are TensorFlow's default only on some Intel processors; on an AMD EPYC they
    take 0.6 of the time of a fine-tuning step. The log level leaves errors and hides the notes on
    how the library was built.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow takes the few networks of a run, each traced once, for one traced again and again.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
