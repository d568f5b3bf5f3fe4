"""The page in a headless Chromium: sort, filter and gallery, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SIZE = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def page(chromium: Any, evaluated: Path) -> Iterator[Any]:
    page = chromium.new_page(viewport=SIZE, reduced_motion="reduce")
    page.complaints = []
    page.on("console", lambda said: page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto((evaluated / "predictions.report.html").as_uri())
    yield page
    assert not page.complaints
    page.close()


@pytest.fixture(autouse=True)
def as_it_opens(page: Any) -> None:
    page.reload()


def table(page: Any, caption: str) -> Any:
    return page.locator("table").filter(has=page.locator(f"caption:text-is('{caption}')"))


def column(rows: Any, number: int) -> list[str]:
    cell = f"row.cells[{number}]"
    found: list[str] = rows.evaluate_all(
        f"rows => rows.map(row => {cell}.dataset.value ?? {cell}.innerText)"
    )
    return found


def test_a_click_sorts_scores_by_value_and_back(page: Any) -> None:
    conditions = table(page, "Each condition")
    rows = conditions.locator("tbody tr")
    conditions.get_by_role("button", name="F1").click()
    scores = [float(value) for value in column(rows, 5) if value]
    assert scores == sorted(scores, reverse=True)
    conditions.get_by_role("button", name="F1").click()
    scores = [float(value) for value in column(rows, 5) if value]
    assert scores == sorted(scores)


def test_a_table_filters_to_one_risk_and_still_sorts(page: Any) -> None:
    form = page.get_by_role("form", name="Filter Coverage at a chosen risk")
    form.get_by_label("Risk aimed at").select_option("20 %")
    rows = table(page, "Coverage at a chosen risk").locator("tbody tr:visible")
    assert set(column(rows, 0)) == {"20 %"}
    assert form.locator("output").inner_text() == f"{rows.count()} of {3 * rows.count()} rows"
    table(page, "Coverage at a chosen risk").get_by_role("button", name="Answered").click()
    answered = [float(value) for value in column(rows, 3) if value]
    assert answered == sorted(answered, reverse=True)
    assert set(column(rows, 0)) == {"20 %"}


def test_the_gallery_of_mistakes_filters_by_condition_and_tone(page: Any) -> None:
    gallery = page.locator("#mistakes [data-gallery]")
    shown = gallery.locator("li:visible")
    every = shown.count()
    gallery.get_by_label("Skin tone").select_option("2")
    tones = shown.evaluate_all("items => items.map(item => item.dataset.tone)")
    assert set(tones) == {"2"}
    assert 0 < len(tones) < every
    label = shown.first.get_attribute("data-label")
    gallery.locator("select[data-filter=label]").select_option(label)
    labels = shown.evaluate_all("items => items.map(item => item.dataset.label)")
    assert set(labels) == {label}
    assert gallery.locator("output").inner_text() == f"{len(labels)} of {every} photos"


def test_the_keyboard_reaches_a_filter_and_what_words_mean(page: Any) -> None:
    page.locator("#mistakes select").first.focus()
    page.keyboard.press("ArrowDown")
    shown = page.locator("#mistakes li:visible")
    assert 0 < shown.count() < page.locator("#mistakes li").count()
    page.locator("#parity .see a").first.focus()
    page.keyboard.press("Enter")
    assert page.url.endswith("#word-pqd")
    box = page.locator("#word-pqd").bounding_box()
    assert 0 <= box["y"] < SIZE["height"]


def test_links_lead_out_only_by_https(page: Any) -> None:
    links = page.locator("a[href^='http']").evaluate_all("all => all.map(a => a.href)")
    assert links
    assert all(link.startswith("https://") for link in links)
