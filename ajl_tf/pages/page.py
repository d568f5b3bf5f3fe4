"""Renders a page: one HTML file with its style, script and images inside, that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ajl_tf.files import write_text
from ajl_tf.pages import words

_SCRIPT = "page.js"
_FILTERS: tuple[Callable[..., Any], ...] = (
    words.number,
    words.percent,
    words.fixed,
    words.size,
    words.plural,
    words.interval,
    words.linked,
)


def write_page(path: str | Path, template: str, context: Mapping[str, Any]) -> None:
    """Writes a page, atomically, over one that exists; `is_unchanged` knows it again.

    Args:
        path: The HTML file.
        template: A file in `pages/templates` that extends `base.html`.
        context: What the template names. Text is escaped wherever it appears; only `Markup`, such
            as a figure of `pages.figures`, is taken as it is.

    Raises:
        jinja2.UndefinedError: The template names what the context does not have.
    """
    page = _environment().get_template(template).render(**context)
    write_text(path, f"{page}\n{_seal(page)}")


def is_unchanged(path: str | Path) -> bool:
    """Whether a file is a page that `write_page` made and nobody has changed since."""
    try:
        page, _, seal = Path(path).read_text(encoding="utf-8").rpartition("\n<!--")
    except (OSError, UnicodeDecodeError):  # a folder, no text
        return False
    return f"<!--{seal}" == _seal(page)


def _seal(page: str) -> str:
    return f"<!-- sha256 of what stands above: {hashlib.sha256(page.encode()).hexdigest()} -->\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ajl_tf.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    # The page's policy lets only this script run, and nothing be fetched: even if a label got past
    # the escaping, it could neither run nor tell anyone.
    script = environment.get_template(_SCRIPT).render().strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals.update(script=Markup(script), script_digest=digest)
    return environment
