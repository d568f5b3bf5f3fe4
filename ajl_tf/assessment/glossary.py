"""Each figure in plain words: name, meaning, the notion of fairness it stands for, its source.

What "fair" means is not settled by a number. The competition hands its participants "What is
fairness?" (Center for Equity, Gender and Leadership, UC Berkeley Haas: `EGAL`) and the Algorithmic
Justice League's guide; the notions here are those that a table of predictions can be asked about.
"""

from __future__ import annotations

from typing import NamedTuple

EGAL = (
    "Center for Equity, Gender and Leadership (EGAL), Berkeley Haas: What is fairness?, "
    "https://haas.berkeley.edu/wp-content/uploads/What-is-fairness_-EGAL2.pdf"
)
AJL = "Algorithmic Justice League, https://www.ajl.org"
_HARDT = "Hardt, Price and Srebro 2016, https://arxiv.org/abs/1610.02413"
_FAIRDISCO = "Du et al. 2022, FairDisCo, https://arxiv.org/abs/2208.10013"
_BY_MIX = "Between tones it differs also because their mix of conditions differs."
_CHANCE = (
    " Luck alone keeps it from being equal, the more so the smaller the groups: `by_chance` is "
    "what it is when tones are dealt out at random among the photos of each condition: the middle "
    "90 % of many deals."
)


class Word(NamedTuple):
    """A figure in words.

    Attributes:
        name: As a table's heading.
        meaning: A sentence or two for someone who looks at photos, not at formulas.
        good: "up" or "down": which way is better; "equal" where neither is.
        notion: The notion of fairness it stands for between groups; "" for none.
        source: Where it is defined; "" where a textbook does.
    """

    name: str
    meaning: str
    good: str
    notion: str = ""
    source: str = ""


PERFORMANCE = "equal performance: a model works as well for one group as for another"
_OPPORTUNITY = "equal opportunity: who has a condition is recognised as often in every group"
DEMOGRAPHIC = (
    "demographic parity: the same answers are given as often in every group. Where conditions are "
    "not equally frequent in the groups, a perfect model does not have it"
)
_ODDS = "equalised odds: hits and false alarms are as frequent in every group"

SCORES = {
    "weighted_f1": Word(
        "weighted F1",
        "F1 of each condition, weighted by its number of photos (the competition's metric). "
        + _BY_MIX,
        "up",
        PERFORMANCE,
    ),
    "macro_f1": Word(
        "macro F1", "F1 averaged over the conditions that occur as label or prediction.", "up"
    ),
    "accuracy": Word(
        "accuracy",
        f"Share of photos predicted right. {_BY_MIX}",
        "up",
        PERFORMANCE,
        f"{EGAL}; {AJL}",
    ),
    "balanced_accuracy": Word(
        "balanced accuracy", "Recall averaged over the conditions that occur (in the group).", "up"
    ),
    "mcc": Word(
        "Matthews correlation",
        "Correlation of label and prediction: 1 is perfect, 0 no better than answers given without "
        "looking.",
        "up",
        source="Gorodkin 2004, https://doi.org/10.1016/j.compbiolchem.2004.09.006",
    ),
    "top_3_accuracy": Word(
        "top-3 accuracy",
        "Share of photos whose label is among the three most probable.",
        "up",
        PERFORMANCE,
    ),
    "log_loss": Word(
        "log loss (lower is better)",
        "Mean of minus the log of the label's probability; lower is better.",
        "down",
    ),
    "precision": Word(
        "precision", "Of the photos predicted as a condition, the share that are of it.", "up"
    ),
    "recall": Word(
        "recall", "Of the photos of a condition, the share that are predicted so.", "up"
    ),
    "f1": Word("F1", "Harmonic mean of precision and recall.", "up"),
    "standardised_recall": Word(
        "standardised recall",
        "Recall averaged over the conditions that all compared groups share, each with the same "
        f"weight: equal opportunity (equal true positive rates; {_HARDT}), averaged over "
        "conditions. A condition with few photos weighs as much as any. The interval lies a little "
        "too high where rare conditions are the hard ones (benchmarks/recall_intervals.py): "
        "resamples in which one of them is missing do without it.",
        "up",
        _OPPORTUNITY,
        _HARDT,
    ),
    "sensitivity": Word(
        "sensitivity, malignant",
        "Of the photos of a malignant condition, the share predicted as any malignant condition.",
        "up",
        _OPPORTUNITY,
        _HARDT,
    ),
    "specificity": Word(
        "specificity, malignant",
        "Of the photos of a condition that is not malignant, the share predicted as one that is "
        "not.",
        "up",
        _ODDS,
        _HARDT,
    ),
    "summed": Word(
        "by summed probability",
        "The answer is the partition whose conditions' probabilities add up to most, instead of "
        "the partition of the most probable condition.",
        "equal",
    ),
    "difference": Word(
        "difference",
        "Highest minus lowest value over the known tones; ratio: lowest through highest; "
        "group_min: the group with the lowest. The unknown tone is shown, never compared.",
        "down",
    ),
    "pqd": Word(
        "PQD",
        "Predictive quality disparity: lowest through highest accuracy of the groups; 1 is equal. "
        + _BY_MIX
        + _CHANCE,
        "up",
        PERFORMANCE,
        _FAIRDISCO,
    ),
    "dpm": Word(
        "DPM",
        "Demographic disparity metric: how often a condition is predicted, lowest through highest "
        "of the groups, averaged over conditions; 1 is equal. A condition that is predicted in one "
        "group and not in another counts 0; one that is never predicted does not count." + _CHANCE,
        "up",
        DEMOGRAPHIC,
        _FAIRDISCO,
    ),
    "eom": Word(
        "EOM",
        "Equality of opportunity metric: the recall of a condition, lowest through highest of the "
        "groups, averaged over conditions; 1 is equal. A condition counts if every group has "
        "photos of it and one of them is recognised." + _CHANCE,
        "up",
        _OPPORTUNITY,
        _FAIRDISCO,
    ),
    "demographic_parity_difference": Word(
        "demographic parity difference, mean",
        "How often a condition is predicted, highest minus lowest of the groups, averaged over the "
        "conditions that are predicted; 0 is equal." + _CHANCE,
        "down",
        DEMOGRAPHIC,
        "Dwork et al. 2012, https://arxiv.org/abs/1104.3913",
    ),
    "demographic_parity_difference_worst": Word(
        "demographic parity difference, worst",
        "The same for the condition where it is largest." + _CHANCE,
        "down",
        DEMOGRAPHIC,
        "Dwork et al. 2012, https://arxiv.org/abs/1104.3913",
    ),
    "equalised_odds_difference": Word(
        "equalised odds difference, mean",
        "Each condition against the rest: highest minus lowest hit rate of the groups, or false "
        "alarm rate, whichever is more; averaged over the conditions that every group has; 0 is "
        "equal." + _CHANCE,
        "down",
        _ODDS,
        _HARDT,
    ),
    "equalised_odds_difference_worst": Word(
        "equalised odds difference, worst",
        "The same for the condition where it is largest." + _CHANCE,
        "down",
        _ODDS,
        _HARDT,
    ),
}
