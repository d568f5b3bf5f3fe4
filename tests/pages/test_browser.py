"""The page in a headless Chromium: it loads nothing, and can be read and used by anyone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ajl_tf.explore import main

SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
THEMES = ("light", "dark")
LEAST_CONTRAST = 4.5  # WCAG 2.2, level AA, for text of any size


@pytest.fixture(scope="module")
def address(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the drawn set with everything in it: photos, doubts and leaks."""
    folder = tmp_path_factory.mktemp("explored")
    rows = pd.read_csv(drawn_set / "train.csv").sort_values("md5hash")
    ids = rows["md5hash"].tolist()
    split = pd.DataFrame({"image_id": ids, "fold": [number % 2 for number in range(len(ids))]})
    split.to_csv(folder / "split.csv", index=False)
    labels = rows["label"].tolist()
    names = sorted(set(labels))
    predictions = pd.DataFrame({"image_id": ids, "label": labels, "fold": split["fold"]})
    for number, name in enumerate(names):
        wrong = labels[number % len(labels)]
        predictions[f"prob_{name}"] = [
            0.9 if name == (wrong if row % 5 == 0 else label) else 0.1 / (len(names) - 1)
            for row, label in enumerate(labels)
        ]
    chances = predictions.filter(like="prob_")
    predictions[chances.columns] = chances.div(chances.sum(axis=1), axis=0)
    predictions.insert(2, "predicted", chances.idxmax(axis=1).str.removeprefix("prob_"))
    predictions.to_csv(folder / "predictions.csv", index=False)
    arguments = ["--predictions", "predictions.csv", "--split", "split.csv"]
    arguments = [str(folder / a) if a.endswith(".csv") else a for a in arguments]
    out = folder / "out"
    main([str(drawn_set), "--out", str(out), "--with-images", "--cache", str(folder), *arguments])
    return (out / "explore.html").as_uri()


@pytest.fixture(scope="module")
def addresses(address: str, evaluated: Path) -> dict[str, str]:
    """The page of explore, and that of evaluate."""
    report = evaluated / "predictions.report.html"
    return {"explored": address, "evaluated": report.as_uri()}


# Each page at both widths, in both themes.
EVERY = [
    (name, size, theme)
    for name in ("explored", "evaluated")
    for size, theme in zip(SIZES, THEMES, strict=True)
]


@pytest.fixture(scope="module", params=EVERY, ids="-".join)
def page(request: pytest.FixtureRequest, chromium: Any, addresses: dict[str, str]) -> Iterator[Any]:
    """Each page at each width in each theme, with what it asked for and complained of."""
    name, size, theme = request.param
    address = addresses[name]
    width, height = SIZES[size]
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.address, page.requested, page.complaints = address, [], []
    page.on("request", lambda asked: page.requested.append(asked.url))
    page.on("console", lambda said: page.complaints.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.texts = page.evaluate(TEXTS)
    yield page
    page.close()


def test_it_asks_for_nothing_and_complains_of_nothing(page: Any) -> None:
    assert page.requested == [page.address]
    assert not page.complaints
    pictures = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(pictures) > 50
    assert min(pictures) > 0


def test_it_does_not_overflow_sideways(page: Any) -> None:
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == page.viewport_size["width"]


def test_text_is_at_least_eleven_pixels_high(page: Any) -> None:
    assert min(float(text["px"]) for text in page.texts) >= 11


def test_every_text_can_be_told_from_what_is_behind_it(page: Any) -> None:
    assert len(page.texts) > 500
    faint = {
        (text["text"], round(ratio, 2))
        for text in page.texts
        if (ratio := contrast(text["colour"], text["behind"])) < LEAST_CONTRAST
    }
    assert not faint


def test_the_theme_is_the_readers(page: Any) -> None:
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(rgba(paper)[:3]) < 0.1) == dark


def test_it_is_built_for_those_who_do_not_see_it(page: Any) -> None:
    assert page.locator("main, nav, header, footer").count() == 4
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    unnamed = "drawings => drawings.filter(d => !d.getAttribute('aria-label')).length"
    assert page.locator("svg[role='img']").count() >= 3
    assert page.locator("svg[role='img']").evaluate_all(unnamed) == 0
    assert page.locator("svg:not([role='img']):not([aria-hidden])").count() == 0
    levels = page.locator("h1, h2, h3, h4").evaluate_all(
        "all => all.map(h => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))
    links = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    inside = {link.removeprefix("#") for link in links if not link.startswith("https://")}
    assert inside <= set(ids)  # the others are sources, followed by those who click on them


@pytest.fixture
def fresh(chromium: Any, address: str) -> Iterator[Any]:
    """The page as it opens, for tests that change it."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    yield page
    page.close()


def test_the_first_tab_skips_to_the_content(fresh: Any) -> None:
    fresh.keyboard.press("Tab")
    assert fresh.evaluate("document.activeElement.textContent") == "Skip to the content"
    box = fresh.evaluate("document.activeElement.getBoundingClientRect().top")
    assert box >= 0  # seen once it is focused
    fresh.keyboard.press("Enter")
    assert fresh.evaluate("document.activeElement.id") == "main"
    fresh.keyboard.press("Tab")
    assert fresh.evaluate("document.activeElement.closest('main') !== null")


def test_tables_sort_from_the_keyboard(fresh: Any) -> None:
    table = "document.querySelector('table.heat')"
    reached = 0
    while fresh.evaluate(f"!{table}.tHead.contains(document.activeElement)"):
        fresh.keyboard.press("Tab")
        reached += 1
        assert reached < 60
    outline = fresh.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # the focus is seen
    columns = f"[...{table}.tBodies[0].rows].map(row => [row.cells[0].textContent, "
    columns += "Number(row.cells[1].dataset.value)])"
    headers = f"[...{table}.tHead.rows[0].cells].map(cell => cell.getAttribute('aria-sort'))"

    fresh.keyboard.press("Enter")
    names = [name for name, _ in fresh.evaluate(columns)]
    assert names == sorted(names)
    assert fresh.evaluate(headers)[:2] == ["ascending", "none"]
    fresh.keyboard.press("Enter")
    assert [name for name, _ in fresh.evaluate(columns)] == sorted(names, reverse=True)
    fresh.keyboard.press("Tab")
    fresh.keyboard.press(" ")
    counts = [count for _, count in fresh.evaluate(columns)]
    assert counts == sorted(counts, reverse=True)
    assert fresh.evaluate(headers)[:2] == ["none", "descending"]


def test_unknown_values_sort_last_both_ways(fresh: Any) -> None:
    fresh.evaluate("""() => {
        const table = document.querySelector('table.heat');
        table.tBodies[0].rows[0].cells[1].dataset.value = '';
        table.id = 'it';
    }""")
    last = "document.querySelector('#it').tBodies[0].lastElementChild.cells[1].dataset.value"
    for _ in range(2):
        fresh.locator("#it thead button").nth(1).click()
        assert fresh.evaluate(last) == ""


def test_the_gallery_filters(fresh: Any) -> None:
    gallery = fresh.locator("[data-gallery]").first
    every = gallery.locator("li").count()
    gallery.get_by_label("Skin tone").select_option("5")
    shown = gallery.locator("li:visible")
    tones = shown.evaluate_all("items => items.map(item => item.dataset.tone)")
    assert set(tones) == {"5"}
    assert gallery.locator("output").text_content() == f"{len(tones)} of {every} photos"
    label = shown.first.get_attribute("data-label")
    gallery.get_by_label("Condition").select_option(label)
    assert 0 < shown.count() < len(tones)
    gallery.get_by_label("Skin tone").select_option("all")
    gallery.get_by_label("Condition").select_option("all")
    assert shown.count() == every


def test_names_without_end_do_not_overflow(fresh: Any) -> None:
    fresh.set_viewport_size({"width": 390, "height": 844})
    fresh.evaluate("""() => {
        const texts = 'h1, h3, p, td, th button, li, option, figcaption span, summary, caption';
        for (const element of document.querySelectorAll(texts))
            if (!element.querySelector('img, table, svg')) element.textContent = 'x'.repeat(300);
    }""")
    assert fresh.evaluate("document.documentElement.scrollWidth") == 390


def test_printing_opens_what_is_folded(fresh: Any) -> None:
    assert fresh.locator("details:not([open])").count()
    fresh.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert fresh.locator("details:not([open])").count() == 0


def test_its_policy_lets_no_script_run_and_nothing_be_fetched(fresh: Any) -> None:
    fresh.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
        window.blocked = [];
        const note = violation => blocked.push(violation.effectiveDirective);
        document.addEventListener('securitypolicyviolation', note);
        const image = new Image();
        image.src = 'http://127.0.0.1:9/x.png';
    }""")
    failed = "fetch('http://127.0.0.1:9/').then(() => false, () => true)"
    assert fresh.evaluate(failed)
    assert fresh.evaluate("window.ran === undefined")
    assert {"connect-src", "img-src"} <= set(fresh.evaluate("window.blocked"))


# Every text that is seen, with its colour, its size and the colours behind it, nearest first.
TEXTS = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || element.closest('script, title, desc, select, .skip')) continue;
    if (!element.checkVisibility()) continue;
    const behind = [];
    for (let at = element; at; at = at.parentElement)
      behind.push(getComputedStyle(at).backgroundColor);
    const style = getComputedStyle(element);
    const svg = element.closest('svg');
    const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    found.push({text, colour: svg ? style.fill : style.color, behind,
                px: parseFloat(style.fontSize) * scale});
  }
  return found;
}"""

Colour = tuple[float, float, float, float]


def rgba(text: str) -> Colour:
    """A computed colour, rgb(…) or color(srgb …), as red, green, blue, alpha in [0, 1]."""
    numbers = [float(number) for number in re.findall(r"[\d.]+(?:e-\d+)?", text)]
    if not text.startswith("color("):
        numbers[:3] = [number / 255 for number in numbers[:3]]
    red, green, blue, *alpha = numbers
    return red, green, blue, alpha[0] if alpha else 1.0


def over(above: Colour, below: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a * above[3] + b * (1 - above[3]) for a, b in zip(above[:3], below, strict=True))


def luminance(colour: tuple[float, ...]) -> float:
    """Relative, as WCAG defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return sum(c * weight for c, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(text: str, behind: list[str]) -> float:
    paper: tuple[float, ...] = (1.0, 1.0, 1.0)
    for layer in reversed(behind):
        paper = over(rgba(layer), paper)
    levels = sorted((luminance(over(rgba(text), paper)), luminance(paper)))
    return (levels[1] + 0.05) / (levels[0] + 0.05)


def test_the_measure_of_contrast_is_right() -> None:
    assert contrast("rgb(0, 0, 0)", ["rgb(255, 255, 255)"]) == pytest.approx(21)
    assert contrast("rgb(119, 119, 119)", ["rgba(0, 0, 0, 0)"]) == pytest.approx(4.48, abs=0.01)
    half = contrast("color(srgb 0 0 0 / 0.5)", ["rgb(255, 255, 255)"])
    assert half == pytest.approx(contrast("rgb(127, 127, 127)", []), abs=0.05)
