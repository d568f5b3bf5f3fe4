"""What the tests of a sweep share."""

from __future__ import annotations

import pytest

from ajl_tf.tuning import trial


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in is done in no time: the sweep looks at its files more often than it would."""
    monkeypatch.setattr(trial, "_EVERY", 0.05)
