"""A headless Chromium for the tests of pages; skipped without one, unless it is asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Nothing of the browser's own may reach for a network, or look like a page that does.
FLAGS = (
    "--no-sandbox",  # as root in a container there is none to be had
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Playwright's browser, with a fresh profile in a temporary folder."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        why = f"no browser: none of {', '.join(NAMES)} is installed"
        if os.environ.get("AJL_BROWSER") == "required":
            pytest.fail(why)
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()
