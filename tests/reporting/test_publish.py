"""The page says what report.json says, and shows of single photos what it was asked to."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ajl_tf import evaluate
from ajl_tf.assessment.predictions import make_predictions
from ajl_tf.assessment.report import make_report
from ajl_tf.assessment.scored import scored
from ajl_tf.errors import UserError, run_verb
from ajl_tf.reporting.examples import mistakes
from ajl_tf.reporting.publish import Place, publish

HTML = '<img src=x onerror="alert(1)"> & "b", \'c\' $x_1$'


class Tables(HTMLParser):
    """Tables by their caption: a row is a dict of heading -> (text, data-value)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[dict[str, tuple[str, str | None]]]] = {}
        self.texts: list[str] = []
        self.text, self.value, self.cells, self.heads = "", None, [], []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("caption", "th", "td", "tr"):
            self.text, self.value = "", dict(attrs).get("data-value")
        if tag == "table":
            self.heads = []
        if tag == "tr":
            self.cells = []

    def handle_data(self, data: str) -> None:
        self.text += data
        self.texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self.rows = self.tables.setdefault(self.text.strip(), [])
        elif tag in ("th", "td"):
            self.cells.append((" ".join(self.text.split()), self.value))
        elif tag == "tr" and not self.heads:
            self.heads = [text for text, _ in self.cells]
        elif tag == "tr":
            self.rows.append(dict(zip(self.heads, self.cells, strict=True)))


def shown(rows: list[dict[str, tuple[str, str | None]]], heading: str) -> list[float | None]:
    return [float(row[heading][1]) if row[heading][1] else None for row in rows]  # type: ignore[arg-type] # checked


def values(groups: list[dict[str, Any]], name: str) -> list[float | None]:
    return [group[name]["value"] for group in groups]


@pytest.fixture(scope="module")
def page(evaluated: Path) -> str:
    return (evaluated / "predictions.report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables(page: str) -> dict[str, list[dict[str, tuple[str, str | None]]]]:
    return Tables(page).tables


@pytest.fixture(scope="module")
def report(evaluated: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((evaluated / "predictions.report.json").read_text())
    return found


def test_the_headline_is_the_competitions_score_with_its_interval(page: str, report: Any) -> None:
    score = report["overall"]["weighted_f1"]
    said = re.search(r'<p class="headline">(.*?)</p>', page, re.DOTALL)[1]  # type: ignore[index] # it is there
    assert f"<strong>{score['value']:.3f}</strong>" in said
    assert f"{score['low']:.3f} to {score['high']:.3f}, on {report['n']} photos" in said


def test_every_condition_stands_with_its_n_and_its_scores(tables: Any, report: Any) -> None:
    rows = tables["Each condition"]
    assert [row["Condition"][0] for row in rows] == [" ".join(n.split()) for n in report["classes"]]
    assert shown(rows, "Photos") == [row["n"] for row in report["per_class"]]
    for heading, name in (("Recall", "recall"), ("Precision", "precision"), ("F1", "f1")):
        assert shown(rows, heading) == [row[name] for row in report["per_class"]]
    first = report["per_class"][0]
    low, high = first["intervals"]["recall"]
    interval = f"[{low:.3f}, {high:.3f}]" if low is not None else "[–]"
    assert rows[0]["Recall"][0] == f"{first['recall']:.3f} {interval}"


@pytest.mark.parametrize(
    ("caption", "heading", "section"),
    [
        ("Scores by tone band", "Tone band", lambda r: r["by_band"]),
        ("Scores by skin tone", "Skin tone", lambda r: r["by_tone"]),
        (
            "Scores by fitzpatrick_centaur",
            "fitzpatrick_centaur",
            lambda r: r["by"]["fitzpatrick_centaur"],
        ),
    ],
)
def test_groups_stand_with_their_n_and_their_scores(
    caption: str, heading: str, section: Callable[[Any], Any], tables: Any, report: Any
) -> None:
    groups, rows = section(report)["groups"], tables[caption]
    assert [row[heading][0] for row in rows] == [group["group"] for group in groups]
    assert shown(rows, "Photos") == [group["n"] for group in groups]
    for title, name in (
        ("Standardised recall", "standardised_recall"),
        ("Weighted F1", "weighted_f1"),
        ("Accuracy", "accuracy"),
        ("Top-3", "top_3_accuracy"),
    ):
        assert shown(rows, title) == values(groups, name)


def test_differences_stand_with_what_may_be_said_of_them(tables: Any, report: Any) -> None:
    compared = report["by_band"]["compared"]
    rows = tables["Differences: tone band"]
    assert shown(rows, "Difference") == [e["difference"]["value"] for e in compared.values()]
    assert [r["What may be said"][0] for r in rows] == [e["conclusion"] for e in compared.values()]


def test_parity_stands_beside_chance(tables: Any, report: Any, page: str) -> None:
    parity = report["by_band"]["parity"]
    rows = tables["Parity: tone bands"]
    assert shown(rows, "Value") == [entry["value"] for entry in parity.values()]
    chances = [entry["by_chance"] for entry in parity.values()]
    assert [row["By chance"][0] for row in rows] == [
        f"{c['low']:.3f} to {c['high']:.3f}" for c in chances
    ]
    verdicts = {
        entry["conclusion"].rpartition(": ")[2][:16]: row["So this is"][0]
        for entry, row in zip(parity.values(), rows, strict=True)
    }
    said = {
        "more than chance": "more than chance",
        "these photos can": "not to be told from chance",
    }
    assert {start: said[start] for start in verdicts if start in said}.items() <= verdicts.items()


def test_how_sure_is_told_with_the_reports_numbers(tables: Any, report: Any) -> None:
    sure = report["sure"]
    calibration = tables["Calibration"]
    assert shown(calibration, "Calibration error") == values(sure["calibration"]["groups"], "ece")
    scaled = sure["temperature"]["calibration"]["groups"]
    rows = tables["Calibration with the temperature"]
    assert shown(rows, "Calibration error") == values(scaled, "ece")
    risks = [group for entry in sure["at_risk"] for group in entry["groups"]]
    assert shown(tables["Coverage at a chosen risk"], "Answered") == values(risks, "coverage")
    sets = [
        group
        for method in ("lac", "aps")
        for promise in ("marginal", "by_band")
        for group in sure["conformal"][method][promise]["groups"]
    ]
    assert shown(tables["Prediction sets"], "Hold the label") == values(sets, "set_coverage")


def test_the_tree_and_malignant_against_the_rest(tables: Any, report: Any) -> None:
    scores = [
        level[f"{way}weighted_f1"]["value"]
        for level in report["tree"].values()
        for way in ("", "summed_")
    ]
    assert shown(tables["Scores by partition"], "Weighted F1") == scores
    rows = tables["Malignant against the rest by tone band"]
    assert shown(rows, "Sensitivity") == values(report["malignant"]["by_band"], "sensitivity")


def test_confusions_are_those_of_the_predictions(tables: Any, evaluated: Path) -> None:
    rows = answers(evaluated)
    wrong = rows[rows["label"] != rows["predicted"]]
    counts = wrong.value_counts(["label", "predicted"])
    told = {
        (row["Label"][0], row["Predicted as"][0]): int(row["Photos"][1])
        for row in tables["The most frequent confusions"]
    }
    assert told == {(plain(a), plain(b)): n for (a, b), n in counts.head(100).items()}


def test_two_models_are_shown_with_the_photos_on_which_they_differ(
    tables: Any, evaluated: Path, page: str
) -> None:
    comparison = json.loads((evaluated / "predictions.against_other.json").read_text())
    rows = tables["Scores of both"]
    overall = [row for row in rows if row["Photos"][0] == "all photos"]
    assert shown(overall, "Difference") == [
        difference["value"] for difference in comparison["overall"]["difference"].values()
    ]
    tests = tables["Right in one model only (McNemar's test)"]
    mcnemar = comparison["overall"]["mcnemar"]
    assert shown(tests, "First only")[0] == mcnemar["only_first"]
    assert mcnemar["exact"] < 0.001
    assert tests[0]["p, exact"][0] == "< 0.001"
    photos = pd.read_csv(evaluated / "predictions.against_other.csv")
    assert page.count("first: ") == len(photos)


def test_mistakes_are_shown_with_their_photos_and_overlays(page: str, evaluated: Path) -> None:
    rows = answers(evaluated)
    wrong = rows[rows["label"] != rows["predicted"]]
    gallery = page[page.index('aria-label="Mistakes"') : page.index('id="against"')]
    ids = re.findall(r"<code>([^<]+)</code>", gallery)
    assert sorted(ids) == sorted(wrong["image_id"])
    drawn = {path.stem for path in (evaluated.parent / "overlays").iterdir()}
    assert gallery.count('class="overlay"') == len(set(ids) & drawn) > 0
    first = wrong.set_index("image_id").loc[ids[0]]
    assert f"{first['prob_' + first['predicted']]:.0%}".replace("%", " %") in gallery
    assert str(evaluated.parent) not in page  # where the photos lie is nobody's business


def test_figures_are_files_with_their_values_in_words(evaluated: Path, report: Any) -> None:
    figures = {path.stem: path for path in (evaluated / "predictions.figures").glob("*.svg")}
    assert set(figures) == {
        "confusion",
        "parity",
        "reliability",
        "risk_coverage",
        "sets",
        "malignant",
        "against",
        "scores_by_1_tone_band",
        "scores_by_2_skin_tone",
        "scores_by_3_fitzpatrick_centaur",
        "scores_by_4_fitzpatrick_centaur_band",
    }
    said = {
        name: ET.parse(path).getroot().findtext("{http://www.w3.org/2000/svg}desc") or ""
        for name, path in figures.items()
    }
    for group in report["by_band"]["groups"]:
        if group["n"]:
            assert (
                f"{group['group']} (n {group['n']}) {group['weighted_f1']['value']:.3f}"
                in (said["scores_by_1_tone_band"])
            )
    assert f"{report['by_band']['parity']['dpm']['value']:.3f}" in said["parity"]


def test_every_word_is_explained_with_its_notion_and_its_source(page: str, report: Any) -> None:
    ids = set(re.findall(r'<dt id="word-([a-z0-9_]+)"', page))
    assert ids == set(report["words"])
    text = " ".join(Tables(page).texts)
    for word in report["words"].values():
        assert plain(word["notion"]) in plain(text)
    assert 'href="https://haas.berkeley.edu/wp-content/uploads/What-is-fairness_-EGAL2.pdf"' in page
    assert "Research software, no diagnosis." in text


# --- Other tables of predictions ---


def table_of(n: int, names: list[str], *, tones: bool = True, sure: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {
        "image_id": [f"i{number}" for number in range(n)],
        "label": [names[number % len(names)] for number in range(n)],
    }
    if tones:
        columns["skin_tone"] = rng.integers(1, 7, n)
    table = make_predictions(pd.DataFrame(columns), names, rng.dirichlet(np.ones(len(names)), n))
    return table if sure else table.drop(columns=[f"prob_{name}" for name in names])


def published(folder: Path, table: pd.DataFrame) -> str:
    publish(Place(folder), "it", make_report(table, resamples=20), table)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "data:image" not in page
    return page


def test_bare_answers_have_a_page_too(tmp_path: Path) -> None:
    page = published(tmp_path, table_of(40, ["a", HTML], tones=False, sure=False))
    assert "the predictions have no probabilities" in page
    assert "fewer than two tone bands have photos" in page
    assert "No skin_tone column" in page
    assert "no table says which partition" in page
    assert HTML not in page
    figures = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert "reliability" not in figures
    assert "confusion" in figures


def test_no_mistake_and_a_single_photo_of_each(tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": ["1", "2"], "label": ["a", "b"], "predicted": ["a", "b"]})
    page = published(tmp_path, table)
    assert "No photo was taken for anything else." in page


def test_a_hundred_and_fourteen_conditions_with_any_names(tmp_path: Path) -> None:
    names = [f"{HTML} {number}" for number in range(114)]
    page = published(tmp_path, table_of(400, names))
    assert HTML not in page
    rows = Tables(page).tables
    assert len(rows["Each condition"]) == 114
    assert len(rows["Mistakes"]) > 300
    assert len(rows["The most frequent confusions"]) == 100


def test_a_hundred_thousand_photos_are_a_bounded_page() -> None:
    table = table_of(100_000, list("abcde"))
    shown, in_all = mistakes(scored(table), 300)
    assert len(shown) == 300
    assert in_all == int((table["label"] != table["predicted"]).sum())
    cells = {(row["label"], row["tone"]) for row in shown}
    assert len(cells) == 5 * 6  # every condition on every tone
    surest = table[table["label"] != table["predicted"]].filter(like="prob_").max(axis=1).max()
    assert shown[0]["confidence"] == pytest.approx(surest)
    confidences = [row["confidence"] for row in shown]
    assert confidences == sorted(confidences, reverse=True)


# --- Where it is written ---


def test_a_page_makes_place_for_a_newer_one_and_figures_that_are_gone_go(tmp_path: Path) -> None:
    published(tmp_path, table_of(60, ["a", "b"], sure=False))
    assert (tmp_path / "figures" / "parity.svg").is_file()
    first = (tmp_path / "report.html").read_bytes()
    published(tmp_path, table_of(60, ["a", "b"], sure=False))
    assert (tmp_path / "report.html").read_bytes() == first
    published(tmp_path, table_of(60, ["a", "b"], tones=False))
    assert not (tmp_path / "figures" / "parity.svg").exists()


@pytest.mark.parametrize("name", ["report.html", "figures/confusion.svg"])
def test_what_a_user_changed_is_not_overwritten(tmp_path: Path, name: str) -> None:
    published(tmp_path, table_of(20, ["a", "b"], sure=False))
    changed = tmp_path / name
    changed.write_text(changed.read_text(encoding="utf-8") + "<!-- mine -->", encoding="utf-8")
    with pytest.raises(UserError, match="nothing was overwritten"):
        published(tmp_path, table_of(20, ["a", "c"], sure=False))
    assert changed.read_text(encoding="utf-8").endswith("<!-- mine -->")


def test_photos_are_asked_for_only_where_they_are_known(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "p.csv").write_text("image_id,label,predicted\nx,a,b\ny,b,b\n")
    arguments = [str(tmp_path / "p.csv"), "--with-images"]
    assert run_verb(evaluate.main, arguments) == 2
    assert "--with-images needs to know where the photos are" in capsys.readouterr().err
    (tmp_path / "m.csv").write_text("image_id,path\nx,x.png\ny,y.png\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")  # y is not there: it is no mistake
    arguments += ["--manifest", str(tmp_path / "m.csv")]
    assert run_verb(evaluate.main, [*arguments, "--overlays", str(tmp_path / "none")]) == 2
    assert "is no folder of pictures" in capsys.readouterr().err
    assert not (tmp_path / "p.report.html").exists()
    assert run_verb(evaluate.main, arguments) == 0
    page = (tmp_path / "p.report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 1


def answers(evaluated: Path) -> pd.DataFrame:
    folder = evaluated.parent
    labels = pd.read_csv(folder / "manifest.csv")[["image_id", "label", "skin_tone"]]
    return pd.read_csv(folder / "predictions.csv").merge(labels, on="image_id")


def plain(text: str) -> str:
    return " ".join(text.split())
