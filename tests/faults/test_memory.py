"""A step that needs more memory than there is, for real: one message, and the batch to try."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ajl_tf.errors import EXIT_BAD_INPUT

pytest.importorskip("resource")
LIMIT = 32 << 30  # bytes of addresses, of which little is ever used
EXPERIMENT = """
name = "it"
[split]
scheme = "80/20"
[model]
backbone = "tiny"
weights = "none"
input_size = 32
[training]
batch_size = 16
[[phases]]
name = "all"
epochs = 1
unfreeze = 1.0
"""
# A network of few weights whose first tensor of a batch has 16 × 16,384² × 3 numbers, 48 GiB. What
# is asked for at once and refused is never touched, so that the machine does not suffer.
HUGE = """
import resource, sys
sys.path.insert(0, {tests!r})
import conftest
from keras import layers
from ajl_tf.models.zoo import BACKBONES
usual = conftest._two_convolutions
conftest._two_convolutions = lambda x: usual(layers.UpSampling2D(512)(x))
conftest.add_tiny_backbone(BACKBONES.__setitem__)
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
from ajl_tf import train
from ajl_tf.errors import run_verb
raise SystemExit(run_verb(train.main, {words!r}))
"""


def test_a_step_that_memory_cannot_hold_says_which_batch_to_try(
    drawn_set: Path, tmp_path: Path
) -> None:
    (tmp_path / "it.toml").write_text(EXPERIMENT)
    places = [f"--{name}={tmp_path / name}" for name in ("runs", "splits", "saved-models", "cache")]
    words = [str(tmp_path / "it.toml"), "--data", str(drawn_set), "--no-export", *places]
    tests = str(Path(__file__).parents[1])
    code = HUGE.format(tests=tests, limit=LIMIT, words=words)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == EXIT_BAD_INPUT, done.stderr
    assert re.search(
        r"error: out of memory \(OOM when allocating tensor with shape\[16,\S+\]\)\. "
        r"training\.batch_size is 16\. Begin anew with --set training\.batch_size=8,",
        done.stderr,
    ), done.stderr
    assert "Traceback" not in done.stderr
