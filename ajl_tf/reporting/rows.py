"""A report's numbers as the rows of the page's tables; nothing is computed here but shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ajl_tf.assessment.words import UNUSUAL, WORDS, cell
from ajl_tf.pages.words import percent

Json = Any
Rows = list[dict[str, Json]]
MOST_CONFUSIONS = 100
_BETTER = {"up": "higher", "down": "lower", "equal": "–"}


def overall_rows(report: Json) -> Rows:
    """Each score with what it means and which way is better."""
    return [
        {"score": WORDS[name].name, "value": value, "better": _BETTER[WORDS[name].good]}
        for name, value in report["overall"].items()
    ]


def condition_rows(report: Json) -> Rows:
    """Each condition with its n and its scores as figures."""
    return [
        {
            "label": row["label"],
            "n": row["n"],
            "n_predicted": row["n_predicted"],
            **{
                name: {"value": row[name], "low": ends[0], "high": ends[1]}
                for name, ends in row["intervals"].items()
            },
        }
        for row in report["per_class"]
    ]


def confusion_rows(report: Json) -> Rows:
    """The most frequent confusions: `label, predicted, n, share` of the label's photos."""
    names = report["classes"]
    totals = [sum(row) for row in report["confusion"]]
    found = [
        {"label": names[i], "predicted": names[j], "n": n, "share": n / totals[i]}
        for i, row in enumerate(report["confusion"])
        for j, n in enumerate(row)
        if n and i != j
    ]
    return sorted(found, key=lambda row: -row["n"])[:MOST_CONFUSIONS]


def compared_rows(compared: Mapping[str, Json]) -> Rows:
    """How far the groups lie apart in each figure, and what may be said of it."""
    return [
        {
            "figure": WORDS[name].name,
            "best": entry["between"][0],
            "worst": entry["between"][1],
            "difference": entry["difference"],
            "ratio": entry["ratio"],
            "conclusion": entry["conclusion"],
        }
        for name, entry in compared.items()
    ]


def parity_rows(parity: Mapping[str, Json]) -> Rows:
    """Each parity figure beside what chance alone gives."""
    return [
        {
            "figure": WORDS[name].name,
            "value": entry,
            "chance": _chance(entry["by_chance"]),
            "share": entry["by_chance"] and entry["by_chance"]["share"],
            "verdict": _verdict(entry, "more than chance", "not to be told from chance"),
            "condition": entry.get("condition"),
        }
        for name, entry in parity.items()
    ]


def calibration_rows(groups: Sequence[Json]) -> Rows:
    """Each group's calibration errors, with what a perfectly calibrated model would show."""
    return [
        {
            **group,
            "chance": _chance(group["ece"]["by_chance"]),
            "verdict": _verdict(group["ece"], "not calibrated", "not to be told from calibrated"),
        }
        for group in groups
    ]


def risk_rows(report: Json) -> Rows:
    """Coverage and risk of each group at each risk that is aimed at."""
    return [
        {"aimed": percent(entry["target"]), **group}
        for entry in report["sure"]["at_risk"] or ()
        for group in entry["groups"]
    ]


def set_rows(conformal: Json) -> Rows:
    """Each group's prediction sets, by method and by what the promise is made for."""
    promises = {"marginal": "all photos together", "by_band": "each tone band"}
    return [
        {"method": method.upper(), "promise": promise, **group}
        for method in ("lac", "aps")
        for key, promise in promises.items()
        for group in conformal[method][key]["groups"]
    ]


def tree_rows(report: Json) -> Rows:
    """Scores at each level of the label tree; without probabilities those of the sum are left."""
    ways = {"": "the predicted condition's", "summed_": "the largest sum of probabilities"}
    return [
        {
            "level": f"{level} ({len(scores['partitions'])})",
            "way": way,
            **{name: scores[f"{start}{name}"] for name in ("accuracy", "weighted_f1", "macro_f1")},
        }
        for level, scores in report["tree"].items()
        for start, way in ways.items()
        if f"{start}accuracy" in scores
    ]


def against_rows(comparison: Json) -> Rows:
    """Each score of two models and their difference, overall and by tone band."""
    return [
        {
            "photos": name,
            "score": WORDS[score].name,
            "first": part["first"][score],
            "second": part["second"][score],
            "difference": difference,
            "conclusion": difference["conclusion"],
        }
        for name, part in against_parts(comparison)
        for score, difference in part["difference"].items()
        if difference["value"] is not None
    ]


def mcnemar_rows(comparison: Json) -> Rows:
    """McNemar's test overall and by tone band."""
    return [
        {"photos": name, "n": part.get("n", comparison["n"]), **part["mcnemar"]}
        for name, part in against_parts(comparison)
    ]


def against_parts(comparison: Json) -> list[tuple[str, Json]]:
    """All photos and each tone band that has some."""
    bands = [(f"tone {band['group']}", band) for band in comparison["by_band"] if band["n"]]
    return [("all photos", comparison["overall"]), *bands]


def sentences(report: Json) -> list[tuple[str, str]]:
    """What may be said, and what may not, at a glance: subject and sentence."""
    return list(_sentences(report))


def _sentences(report: Json) -> Iterator[tuple[str, str]]:
    bands = report["by_band"]
    recall = bands["compared"]["standardised_recall"]
    gap = recall["difference"]
    yield (
        "Recognising each condition on every tone band (standardised recall)",
        f"Difference {cell(gap)}. {recall['conclusion']}" if gap["value"] else recall["conclusion"],
    )
    score = bands["compared"]["weighted_f1"]
    if score["difference"]["value"] is not None:
        yield (
            "Weighted F1 on every tone band, which also depends on their mix of conditions",
            f"Difference {cell(score['difference'])}. {score['conclusion']}",
        )
    chances = {n: e["by_chance"] for n, e in bands["parity"].items() if e["value"] is not None}
    beyond = _names(n for n, chance in chances.items() if chance and chance["share"] <= UNUSUAL)
    within = _names(n for n, chance in chances.items() if chance and chance["share"] > UNUSUAL)
    if beyond or within:
        said = f"More unequal than luck explains: {beyond}. " if beyond else ""
        said += f"Not to be told from luck: {within}." if within else ""
        yield "Parity of the tone bands", said
    if report["sure"]:
        overall = report["sure"]["calibration"]["groups"][0]
        between = report["sure"]["calibration"]["compared"]["overconfidence"]
        said = f"Calibration error {cell(overall['ece'])}. {overall['ece']['conclusion']}"
        yield "Whether stated probabilities can be believed", said
        yield "Overconfidence between tone bands", between["conclusion"]
    if report["malignant"]:
        yield (
            "Malignant conditions on every tone band (sensitivity)",
            report["malignant"]["compared"]["sensitivity"]["conclusion"],
        )
    yield "Twins in training", report["twins"]["sentence"]


def _names(names: Iterable[str]) -> str:
    return ", ".join(WORDS[name].name for name in names)


def _chance(by_chance: Json) -> str | None:
    return None if by_chance is None else f"{by_chance['low']:.3f} to {by_chance['high']:.3f}"


def _verdict(entry: Json, beyond: str, within: str) -> str | None:
    """In a few words what the figure's `conclusion` says in a sentence."""
    if entry["value"] is None or entry["by_chance"] is None:
        return None
    if entry["low"] is None:
        return "too few photos to say"
    return beyond if entry["by_chance"]["share"] <= UNUSUAL else within
