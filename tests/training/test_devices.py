"""A batch divided between devices; in a child, for devices are divided before anything runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("two_devices.py")


def test_two_devices_train_as_one_does_at_the_same_batch_and_go_on_to_the_same_bits(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.two_devices", str(tmp_path)],
        cwd=SCRIPT.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == [1, 2]
    one, two = found["losses"]
    assert two == pytest.approx(one, rel=1e-4)
    assert found["largest"] < 1e-4
    assert found["resumed"]
    whole, after_all = found["checkpoints"]
    assert after_all == whole > 9  # gone on with, not begun anew
    assert one[-1] < one[0]  # it did learn something
    # The groups of a whole batch are compared on one device.
    assert found["mitigated"] == 1
    assert "one GPU trains" in done.stderr
