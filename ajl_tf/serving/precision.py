"""Half the bits where the processor has them: a SavedModel's convolutions in bfloat16.

TensorFlow rewrites the graph as it is first run, so that any SavedModel will do and none is made
anew: weights stay float32 in the file, sums are made in float32, photos are decoded and resized as
ever. Probabilities change, on real photos by up to 0.05, and of two that are as near they may
change places (`benchmarks/README.md` has the figures).
"""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from ajl_tf.errors import UserError

# As Linux calls them: Intel since Cooper Lake, AMD since Zen 4.
_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
_PROCESSOR = Path("/proc/cpuinfo")


def answer_in_bfloat16() -> None:
    """Has this process run convolutions and matrix products in bfloat16 from now on.

    To be called before a model answers for the first time. A graph that has run stays as it is.

    Raises:
        UserError: The processor has no such instructions, or it cannot be told, or there is a GPU,
            or oneDNN, whose kernels they are, is off.
    """
    if tf.config.list_physical_devices("GPU"):
        raise UserError("--bfloat16 is for processors, and here a GPU answers. Leave it out.")
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        raise UserError("--bfloat16 needs oneDNN, and TF_ENABLE_ONEDNN_OPTS is 0. Unset it.")
    if not has_bfloat16():
        raise UserError(
            f"--bfloat16 needs a processor with {' or '.join(_INSTRUCTIONS)}, and {_PROCESSOR} "
            "names neither. Leave it out: without them it would be slower, not faster."
        )
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})


def has_bfloat16() -> bool:
    """Whether Linux says that the processor multiplies bfloat16; False where nothing says so."""
    try:
        words = set(_PROCESSOR.read_text(encoding="utf-8").split())
    except OSError:  # another system, which the error then says
        return False
    return not words.isdisjoint(_INSTRUCTIONS)
