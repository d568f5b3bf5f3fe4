"""Figures are files on white paper, and drawings in a page's own colours."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from ajl_tf.pages.figures import INK, SERIES, log_scale, new_figure, save_figure

SVG = "{http://www.w3.org/2000/svg}"


def draw(path: Path, label: str = "a $x$ <b>") -> str:
    with new_figure() as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=SERIES[0], label=label)
        axes.scatter([0, 1], [1, 0], color=SERIES[1])
        axes.legend()
        return str(save_figure(figure, path, 'Title <"1">', "It rises."))


def test_the_file_is_svg_with_its_words_as_text(tmp_path: Path) -> None:
    draw(tmp_path / "figures" / "it.svg")
    root = ET.parse(tmp_path / "figures" / "it.svg").getroot()
    assert root.find(f"{SVG}title").text == 'Title <"1">'  # type: ignore[union-attr] # it has one
    assert root.find(f"{SVG}desc").text == "It rises."  # type: ignore[union-attr] # it has one
    assert "a $x$ <b>" in [element.text for element in root.iter(f"{SVG}text")]
    assert next(root.iter(f"{SVG}rect")).get("fill") == "#fff"


def test_the_drawing_follows_the_pages_theme_and_has_a_text_alternative(tmp_path: Path) -> None:
    inline = draw(tmp_path / "it.svg")
    root = ET.fromstring(inline)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'Title <"1">. It rises.'
    assert root.get("viewBox")
    assert not root.get("width")
    colours = set(re.findall(r"#[0-9a-f]{6}\b", inline))
    assert not colours & {INK, *SERIES}
    assert "var(--series-1)" in inline
    assert "<style" not in inline
    assert not [e for e in root.iter(f"{SVG}rect") if e.get("fill") == "#fff"]


def test_two_drawings_share_no_id(tmp_path: Path) -> None:
    first, second = draw(tmp_path / "one.svg"), draw(tmp_path / "two.svg")
    ids = [set(re.findall(r'\bid="([^"]+)"', drawing)) for drawing in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for drawing, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', drawing)) <= own


def test_letters_that_no_font_here_has_are_no_warning(tmp_path: Path) -> None:
    assert "乾癬 \U0001fa7a" in draw(tmp_path / "it.svg", "乾癬 \U0001fa7a")


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    draw(tmp_path / "a" / "it.svg")
    draw(tmp_path / "b" / "it.svg")
    assert (tmp_path / "a" / "it.svg").read_bytes() == (tmp_path / "b" / "it.svg").read_bytes()


@pytest.mark.parametrize(
    ("ends", "label"),
    [
        ((1e-6, 1.0), ">1e\N{MINUS SIGN}04<"),
        ((2e-4, 6e-4), ">3e\N{MINUS SIGN}04<"),
        ((1e-4, 2e-3), ">5e\N{MINUS SIGN}04<"),
        ((1.0, 500.0), ">100<"),
    ],
)
def test_a_logarithmic_axis_has_plain_labels(
    tmp_path: Path, ends: tuple[float, float], label: str
) -> None:
    with new_figure() as figure:
        axes = figure.subplots()
        axes.plot(ends, [0, 1])
        log_scale(axes)
        save_figure(figure, tmp_path / "it.svg", "a title", "words")
    text = (tmp_path / "it.svg").read_text()
    assert label in text
    assert "math" not in text


@pytest.mark.parametrize("times", [1.2, 3, 4.9, 5.1, 9, 20, 80, 110, 1e3, 1e6])
def test_labels_of_a_logarithmic_axis_do_not_lie_on_each_other(times: float) -> None:
    for low in (1e-4, 2.3e-3, 5e-3, 0.7):
        with new_figure(3.75) as figure:
            axes = figure.subplots()
            axes.plot((low, low * times), [0, 1])
            log_scale(axes)
            figure.draw_without_rendering()
            labels = [label for label in axes.get_xticklabels(which="both") if label.get_text()]
            inside = [label for label in labels if axes.get_xlim()[0] <= label.get_position()[0]]
            boxes = sorted((b.x0, b.x1) for b in (label.get_window_extent() for label in inside))
        assert len(boxes) >= (1 if times < 2 else 2)
        assert all(one[1] < other[0] for one, other in pairwise(boxes))
