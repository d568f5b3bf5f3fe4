"""A page is one file, and no text that reaches it can become markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from ajl_tf.pages import page, words
from ajl_tf.pages.page import is_unchanged, write_page

TEMPLATE = """
{% extends "base.html" %}
{% import "parts.html" as parts %}
{% set sections = [("first", "First")] %}
{% block title %}{{ title }}{% endblock %}
{% block main %}
{{ parts.table(title, [("name", "Name", "text"), ("n", "Photos", "bar")], rows) }}
{{ parts.heat("grid", ["a", "b"], grid, name="name", cells="cells", title="x", thin=10) }}
{% call(row) parts.gallery("g", [("label", "Condition")], photos, {}) %}
<b>{{ row.label }}</b>
{% endcall %}
{% endblock %}
"""
CONTEXT: dict[str, Any] = {"title": "t", "rows": [], "grid": [], "photos": []}


@pytest.fixture(autouse=True)
def template(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `write_page` find the template above beside the package's own."""
    environment = page._environment()
    loader = jinja2.ChoiceLoader([jinja2.DictLoader({"it.html": TEMPLATE}), environment.loader])
    monkeypatch.setattr(environment, "loader", loader)


class Elements(HTMLParser):
    """Collects what stands in a page: tags with attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def written(path: Path, **context: Any) -> str:
    write_page(path / "page.html", "it.html", CONTEXT | context)
    return (path / "page.html").read_text(encoding="utf-8")


NASTY = '<script>alert("1")</script><img src=x onerror="a()"> & \' {{ 7 * 7 }}'


def test_text_is_escaped_wherever_it_stands(tmp_path: Path) -> None:
    plain = Elements(written(tmp_path, rows=[{"name": "a", "n": 1}], photos=[photo("a")]))
    nasty = Elements(
        written(tmp_path, title=NASTY, rows=[{"name": NASTY, "n": 1}], photos=[photo(NASTY)])
    )
    assert [tag for tag, _ in nasty.tags] == [tag for tag, _ in plain.tags]
    assert [set(found) for _, found in nasty.tags] == [set(found) for _, found in plain.tags]
    assert NASTY in nasty.texts  # shown as it is, unrendered
    assert any(attributes.get("data-label") == NASTY for _, attributes in nasty.tags)


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_label_comes_out_as_it_went_in(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = Elements(written(tmp_path_factory.mktemp("p"), rows=[{"name": text, "n": 1}]))
    assert text in found.texts


def photo(label: str) -> dict[str, str]:
    return {"image_id": "i", "label": label, "tone": "1"}


def test_a_page_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    found = Elements(written(tmp_path, photos=[photo("a")]))
    outside = [
        (tag, value)
        for tag, attributes in found.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "srcset")
        and not (value or "").startswith(("#", "data:"))
    ]
    assert not outside
    policy = next(a["content"] for t, a in found.tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert not re.search(
        r"url\(|@import", (Path(page.__file__).parent / "templates/page.css").read_text()
    )


def test_cells_say_in_words_that_they_are_empty_or_thin(tmp_path: Path) -> None:
    found = Elements(written(tmp_path, grid=[{"name": "x", "cells": {"a": 0, "b": 9}}]))
    assert [text for text in found.texts if text in ("empty", "thin")] == ["empty", "thin"]
    found = Elements(written(tmp_path, grid=[{"name": "x", "cells": {"a": 10, "b": 99}}]))
    assert not {"empty", "thin"} & set(found.texts)


def test_a_page_replaces_one_whole(tmp_path: Path) -> None:
    first = written(tmp_path, title="first")
    with pytest.raises(jinja2.UndefinedError):
        write_page(tmp_path / "page.html", "it.html", {"title": "second"})
    assert (tmp_path / "page.html").read_text() == first
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_only_markup_is_taken_as_it_is(tmp_path: Path) -> None:
    assert "<i>x</i>" in written(tmp_path, title=Markup("<i>x</i>"))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.number(12345), "12,345"),
        (words.number(-7.6), "−8"),
        (words.number(None), "–"),
        (words.number(float("nan")), "–"),
        (words.percent(0.456), "46 %"),
        (words.percent(0.0), "0 %"),
        (words.percent(0.0004, 1), "< 0.1 %"),
        (words.percent(1.0, 1), "100.0 %"),
        (words.percent(None), "–"),
        (words.fixed(-0.716), "−0.72"),
        (words.size(999), "999 bytes"),
        (words.size(1500), "1.5 kB"),
        (words.size(182_000), "182 kB"),
        (words.size(3_210_000), "3.2 MB"),
        (words.size(None), "–"),
        (words.plural(1, "photo"), "1 photo"),
        (words.plural(2860, "photo"), "2,860 photos"),
        (words.plural(0, "photo has", "photos have"), "0 photos have"),
    ],
)
def test_numbers_in_words(said: str, expected: str) -> None:
    assert said == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.interval({"value": 0.5, "low": -0.25, "high": 1.0}), "[−0.250, 1.000]"),
        (words.interval({"value": 0.5, "low": None, "high": None}), "[–]"),
        (words.linked("a <b> & c"), "a &lt;b&gt; &amp; c"),
        (
            words.linked("see https://a.org/x?y=1&z, then."),
            'see <a href="https://a.org/x?y=1&amp;z">a.org/x?y=1&amp;z</a>, then.',
        ),
        (words.linked("javascript:alert(1) http://a.org"), "javascript:alert(1) http://a.org"),
        (words.linked('https://a.org/"onclick="x'), '<a href="https://a.org/">a.org/</a>&#34;'),
    ],
)
def test_intervals_and_links(said: str, expected: str) -> None:
    assert str(said).startswith(expected)


def test_a_page_that_was_made_here_is_known_again_until_someone_changes_it(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert not is_unchanged(path)
    assert not is_unchanged(tmp_path)
    text = written(tmp_path)
    assert is_unchanged(path)
    path.write_text(text.replace("<body>", "<body><p>mine</p>"), encoding="utf-8")
    assert not is_unchanged(path)
    path.write_text("mine", encoding="utf-8")
    assert not is_unchanged(path)
