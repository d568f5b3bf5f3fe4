"""The report: what a table of predictions is worth, as JSON and as a plain text table.

Its keys (a *figure* is `{value, low, high}`, with the ends of its 95 % interval; what has no value
or too few clusters is None; a *parity figure* also has `by_chance`: see `sections.beside_chance`):

- `schema`: 2; `rows`: which rows were scored; `n`: photos; `classes`: label names; `notes`:
  sentences on rows left out and columns missing; `notions`: name of a figure to what it means;
  `words`: the same with name, direction, notion of fairness and source (`glossary.Word`)
- `interval`: `{level, method, resamples, seed, clusters, min_clusters}`
- `overall`: `weighted_f1, macro_f1, accuracy, balanced_accuracy, mcc` and, with probabilities,
  `top_3_accuracy, log_loss`: figures
- `twins`: `{n, all, without, only, difference, sentence}`: weighted F1 without the photos that have
  a twin in training, and on them alone
- `per_class`: list of `{label, n, n_predicted, precision, recall, f1, intervals}`; precision is
  None where nothing is predicted so, recall where no photo is of it, F1 where both; `intervals`: of
  each of the three `[low, high]`
- `confusion`: photos, a list for each label (in the order of `classes`) of a number for each answer
- `tree`: level of the label tree (`three_partition_label`, …) to `{partitions, accuracy,
  weighted_f1, macro_f1}`: figures when only the partition must be right; with probabilities also
  `summed_…`, the answer then being the partition with the largest sum. Empty without a tree
- `malignant`: `{level, n_malignant, n_other, sensitivity, specificity, by_band: list of {group,
  n_malignant, n_other, sensitivity, specificity}, compared}`; None without a tree
- `by_tone`, `by_band`: `groups`: list of `{group, n, clusters, conditions, accuracy, weighted_f1,
  macro_f1, mcc, balanced_accuracy, standardised_recall}` and, with probabilities, `top_3_accuracy`,
  the last ones figures; `shared_conditions`: the labels that standardised recall averages over;
  `compared`: name of a figure to `{group_min: {group, value}, difference: figure, between: [best,
  worst], ratio, conclusion}` over the known groups; `parity`: name of a parity figure (`pqd, dpm,
  eom, demographic_parity_difference, …_worst, equalised_odds_difference, …_worst`) to itself with
  `conclusion` and, of a mean, over how many `conditions`, of a worst, which `condition`
- `by`: name of another column to the same as `by_band`; a column of skin tones also as
  `<column> (band)`
- `sure`: None without probabilities. Groups are `overall` and the tone bands; `compared` as above
  - `calibration`: `{groups, compared: {overconfidence}}`; `groups`: list of `{group, n, ece,
    adaptive_ece, overconfidence, log_loss, reliability}`: the first two parity figures
    (`by_chance`: of a perfectly calibrated model) with `conclusion`, then figures; `reliability`:
    list of `{from, to, n, confidence, accuracy: figure}`, bins with photos only
  - `risk_coverage`: list of `{group, n, points: list of {target, coverage, threshold, risk}}`, each
    group by its own order of confidence
  - `fitted_on`: on which other rows the following was fitted; None, as these are, with too few rows
  - `temperature`: `{all, used, calibration}`: fitted on all rows (for serving, behind no figure
    here), on the other rows of each part, and calibration with the latter
  - `at_risk`: list of `{target, groups: list of {group, n, coverage, risk}, compared}`: one
    threshold for all tones that aims at this risk
  - `conformal`: `{target, lac, aps}`, each `{marginal, by_band}`, how it was calibrated, to
    `{groups: list of {group, n, set_coverage, set_size, single}, compared: {set_coverage}}`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ajl_tf.assessment.bootstrap import LEVEL, MIN_CLUSTERS, Bootstrap
from ajl_tf.assessment.by_group import by_group
from ajl_tf.assessment.groupings import column_groupings, tone_groupings
from ajl_tf.assessment.overall import (
    confusion_counts,
    level_scores,
    malignant,
    overall,
    per_class,
)
from ajl_tf.assessment.printed import format_table
from ajl_tf.assessment.scored import Scored, scored
from ajl_tf.assessment.sections import Section, tell_all
from ajl_tf.assessment.sure import fit, sure, told_sure
from ajl_tf.assessment.tree import MALIGNANT, Level, levels, read_tree
from ajl_tf.assessment.twins import twins, with_twin
from ajl_tf.assessment.words import NOTIONS, WORDS

__all__ = ["format_table", "make_report"]

SCHEMA = 2
RESAMPLES = 2000
_DRAWS = 1000
_METHOD = (
    "percentile bootstrap of clusters (group_id); of a difference: max-t bootstrap, simultaneous "
    "over all pairs of known groups; of a parity figure: basic bootstrap"
)


def make_report(
    predictions: pd.DataFrame,
    photos: pd.DataFrame | None = None,
    twin_ids: set[str] | str | None = None,
    *,
    by: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores predictions overall, by condition, by skin tone and by other columns.

    Args:
        predictions: As `read_predictions` or `make_predictions` returns them, with `label`. Rows
            with a fold are scored, else those of the split test, else validation, else all.
        photos: Manifests of the data, to know which photos have a twin in training (`with_twin`)
            and which partition each label belongs to (`read_tree`).
        twin_ids: As `with_twin` returns it, of predictions whose fold does not tell; None: found.
        by: Other columns of `predictions` to divide the photos by.
        resamples: Bootstrap resamples behind the intervals.
        seed: Of the resamples.

    Returns:
        What the module's docstring describes; JSON-able, no NaN.

    Raises:
        UserError: No row to score, none with a label, a column of `by` that divides nothing, or
            labels in more than one partition.
    """
    rows = scored(predictions)
    bootstrap = Bootstrap(rows.clusters, resamples, seed)
    tree, notes = levels(read_tree(predictions, photos), rows.class_names)
    tones = tone_groupings(rows.tone_idx)
    others = {f"column {name}": each for name, each in column_groupings(rows.table, by).items()}
    fitted, draws = fit(rows, seed), min(resamples, _DRAWS)
    sections = {
        **_sections(rows, tree),
        "twins": twins(rows, with_twin(predictions, photos) if twin_ids is None else twin_ids),
        **{name: by_group(rows, each, draws, seed) for name, each in (tones | others).items()},
        **sure(rows, fitted, draws, seed),
    }
    told = tell_all(sections, bootstrap)
    return {
        "schema": SCHEMA,
        "rows": rows.rows,
        "n": len(rows.label_idx),
        "classes": list(rows.class_names),
        "notes": [*rows.notes, *notes],
        "notions": NOTIONS,
        "words": {name: word._asdict() for name, word in WORDS.items()},
        "interval": {
            "level": LEVEL,
            "method": _METHOD,
            "resamples": resamples,
            "seed": seed,
            "clusters": int(rows.clusters.max()) + 1,
            "min_clusters": MIN_CLUSTERS,
        },
        "overall": told["overall"],
        "twins": told["twins"],
        "per_class": told["per_class"],
        "confusion": confusion_counts(rows),
        "tree": {level.name: told[level.name] for level in tree},
        "malignant": told.get("malignant"),
        **{name: told[name] for name in tones},
        "by": {grouping.title: told[name] for name, grouping in others.items()},
        "sure": told_sure(fitted, told),
    }


def _sections(rows: Scored, tree: Sequence[Level]) -> dict[str, Section]:
    sections = {"overall": overall(rows), "per_class": per_class(rows)}
    for level in tree:
        sections[level.name] = level_scores(rows, level)
        if MALIGNANT in level.partitions:
            sections["malignant"] = malignant(rows, level)
    return sections
