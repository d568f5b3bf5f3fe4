"""The words for how sure a model is, and for comparing two models: see `glossary`."""

from __future__ import annotations

from ajl_tf.assessment.glossary import DEMOGRAPHIC, PERFORMANCE, Word

_GUO = "Guo et al. 2017, https://arxiv.org/abs/1706.04599"
_GEIFMAN = "Geifman and El-Yaniv 2017, https://arxiv.org/abs/1705.08500"
_ANGELOPOULOS = "Angelopoulos and Bates 2021, https://arxiv.org/abs/2107.07511"
_FAGERLAND = (
    "Fagerland, Lydersen and Laake 2013, https://doi.org/10.1186/1471-2288-13-91 (McNemar's test)"
)
_CALIBRATED = "calibration within groups: a stated 80 % is right 80 times in 100 in every group"

CERTAINTY = {
    "ece": Word(
        "calibration error",
        "Expected calibration error: how far the stated probability of the answer and the share of "
        "right answers lie apart, on average over 15 bins of the same width. It is above 0 by luck "
        "too; `by_chance` is what a perfectly calibrated model would show.",
        "down",
        _CALIBRATED,
        f"Naeini, Cooper and Hauskrecht 2015, AAAI; {_GUO}",
    ),
    "adaptive_ece": Word(
        "calibration error, bins of equal size",
        "The same over 15 bins of as many photos each.",
        "down",
        _CALIBRATED,
        "Nguyen and O'Connor 2015, https://arxiv.org/abs/1508.05154",
    ),
    "overconfidence": Word(
        "overconfidence",
        "Mean stated probability of the answer minus share of right answers: above 0 the model "
        "claims more than it holds, below 0 less.",
        "equal",
        _CALIBRATED,
    ),
    "reliability": Word(
        "reliability diagram",
        "For answers of about the same stated probability, the share that is right.",
        "equal",
        _CALIBRATED,
        "Bröcker and Smith 2007, https://doi.org/10.1175/WAF993.1",
    ),
    "temperature": Word(
        "temperature",
        "By what all logits are divided so that log loss is lowest: above 1, the model was too "
        "sure. Fitted on rows other than those it is used on.",
        "equal",
        source=_GUO,
    ),
    "risk": Word(
        "risk",
        "Share of wrong answers among the photos that are answered, the surest first.",
        "down",
        PERFORMANCE,
        _GEIFMAN,
    ),
    "coverage": Word(
        "coverage",
        "Share of photos that are answered; the others would go to a person. With one threshold "
        "for all tones, it says whose photos are left unanswered.",
        "up",
        DEMOGRAPHIC,
        _GEIFMAN,
    ),
    "set_coverage": Word(
        "sets that hold the label",
        "Share of photos whose prediction set (of the conditions that cannot be ruled out) holds "
        "the label; 90 % is aimed at. Marginal: for all photos together; by band: for each.",
        "up",
        "equal coverage: the promise is kept for every group, not only for all together",
        f"{_ANGELOPOULOS}; Vovk, Gammerman and Shafer 2005, Algorithmic learning in a random world",
    ),
    "set_size": Word(
        "size of the sets",
        "Mean number of conditions in a prediction set: fewer say more.",
        "down",
        PERFORMANCE,
        "LAC: Sadinle, Lei and Wasserman 2019, https://doi.org/10.1080/01621459.2017.1395341; APS: "
        "Romano, Sesia and Candès 2020, https://arxiv.org/abs/2006.02544",
    ),
    "single": Word("sets of one", "Share of prediction sets with a single condition.", "up"),
    "exact": Word(
        "McNemar's p, exact",
        "How often two models that are right equally often would differ by as many photos or more, "
        "by luck: the two-sided binomial probability.",
        "equal",
        source=_FAGERLAND,
    ),
    "mid_p": Word(
        "McNemar's p, mid-p",
        "The same, with what was observed counted by half; less timid, and recommended.",
        "equal",
        source=_FAGERLAND,
    ),
}
