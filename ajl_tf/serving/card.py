"""The model card: what a SavedModel is for, what it scored on every skin tone, where it ends.

Its sections follow Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv:1810.03993).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ajl_tf.assessment.card import card_section
from ajl_tf.assessment.limits import INTENDED_USE
from ajl_tf.config import Experiment
from ajl_tf.dataset.views import Views
from ajl_tf.models.backbones import BACKBONES
from ajl_tf.serving.alarms import Alarms, Unlike
from ajl_tf.serving.blend import Blend, Fitted
from ajl_tf.serving.card_metadata import metadata_section
from ajl_tf.serving.sources import Options, Source


def model_card(
    name: str,
    run: str,
    sources: Sequence[Source],
    blend: Blend,
    unlike: Unlike | None,
    report: dict[str, Any],
    options: Options,
) -> str:
    """The card as Markdown.

    Args:
        name: Of the SavedModel.
        run: Of the folder that has the report.
        sources: The runs whose networks it may hold.
        blend: How their answers become one.
        unlike: What it knows; None if it does not say.
        report: From `assessment.report.make_report`.
        options: What the export was asked for.
    """
    scored_anew = run != sources[0].folder.name
    return f"""# {name}

**Research software. It makes no diagnosis and must not be used for one.**

## Model

{_model(sources, blend, options)}
- {len(report["classes"])} classes
- scores of `{run}`

## Use

{INTENDED_USE}

## Data

{_data(report["classes"])}

{metadata_section(sources)}## How sure it says it is

{_sure(sources, blend, scored_anew)}

## Photos unlike anything known

{_unlike(unlike)}

## Scores

{_scored(sources)}

{card_section(report)}"""


_VIEWS: dict[Views, str] = {
    "none": "",
    "flips": ", averaged over the eight flips and quarter turns of a photo",
    "flips+crops": ", averaged over the eight flips and quarter turns of a photo and of its middle",
}


def _model(sources: Sequence[Source], blend: Blend, options: Options) -> str:
    return "\n".join(
        _run(source, None if len(sources) == 1 else weight, options)
        for source, weight in zip(sources, blend.weights, strict=True)
    )


def _run(source: Source, weight: float | None, options: Options) -> str:
    views = options.views_of(source.experiment)
    strength = source.experiment.loss.logit_adjustment + options.logit_adjustment
    adjusted = (
        "\n  - rare conditions are answered more often: off each logit are taken "
        f"{strength:g} times the log of how common its condition is among the training photos"
    )
    experiment, count = source.experiment, len(source.parts)
    networks = "one network" if count == 1 else f"the average of {count} networks"
    if source.is_refit:
        networks = "one network, trained on all photos of the run (refit)"
    share = "" if weight is None else f", weight {weight:.3f}" if weight else ", weight 0: left out"
    return (
        f"- {networks}{share}, backbone `{experiment.model.backbone}`, input "
        f"{experiment.input_size} pixels{_VIEWS[views]}{adjusted if strength else ''}\n"
        f"  - starting weights: `{experiment.weights_name}` ({_origin(experiment)})\n"
        f"  - run `{source.folder.name}`, configuration {experiment.hash}"
    )


def _origin(experiment: Experiment) -> str:
    if experiment.model.weights == "none":
        return "random"
    backbone = BACKBONES[experiment.model.backbone]
    if experiment.model.weights == "imagenet":
        return f"{backbone.trained_on}, licence {backbone.licence}"
    return "a local file; mind its licence"


def _sure(sources: Sequence[Source], blend: Blend, scored_anew: bool) -> str:
    lines = []
    if len(sources) > 1:
        how = f"by weights fitted on n = {blend.n:,} rows" if blend.n else "by equal weights"
        lines.append(f"The runs' logits are averaged, {how}.")
    lines.append(f"The logits are divided by a temperature: {_heat(blend.temperature)}.")
    if any(len(source.parts) > 1 for source in sources):
        lines.append(
            "The average of a run's networks is somewhat less sure than it may be: no photo is "
            "left to fit that on, for all but one of the networks trained on each."
        )
    if any(source.is_refit for source in sources):
        lines.append(
            "A refit takes what was fitted for the networks of its run's folds: it was trained on "
            "all of these photos, so that none is left to fit it on."
        )
    what = "after a temperature from other rows" if scored_anew else "before the temperature"
    lines.append(f"The scores below are of probabilities {what}.")
    return "\n".join(lines)


def _heat(fitted: Fitted) -> str:
    if not fitted.n:
        return f"{fitted.temperature:.3f} ({fitted.rows})"
    return f"{fitted.temperature:.3f} (n = {fitted.n:,}, {fitted.rows})"


def _unlike(unlike: Unlike | None) -> str:
    if unlike is None:
        return "This SavedModel does not say how unlike anything known a photo is."
    rows = "\n".join(_alarm_row(alarms) for alarms in unlike.alarms)
    averaged = (
        "\n\nThese are of scores by single networks, on photos that they did not train on. What "
        f"is served averages the scores of {len(unlike.known)} networks, and passes the threshold "
        "less often, for known photos and for strange ones: by how much is not known, for no photo "
        "is left that none of the networks trained on."
    )
    return (
        "`unlike` is the share of known photos that lie nearer to what the networks know: 1 for a "
        f"cat or a blank wall. The threshold {unlike.threshold:.3f} was fitted on "
        f"n = {unlike.n:,} photos. False alarms ({unlike.rows}), with 95 % intervals:\n\n"
        "| tone band | n | above the threshold |\n|---|---|---|\n"
        f"{rows}{averaged if len(unlike.known) > 1 else ''}\n\n"
        "A photo below it may still be of another condition, or of healthy skin."
    )


def _alarm_row(alarms: Alarms) -> str:
    if alarms.share is None:
        return f"| {alarms.group} | 0 | – |"
    share = f"{alarms.share:.1%} [{alarms.low:.1%}, {alarms.high:.1%}]"
    return f"| {alarms.group} | {alarms.n:,} | {share} |"


def _scored(sources: Sequence[Source]) -> str:
    """Whose the scores are: what is served has seen the photos, unless it is of one holdout."""
    (first, *others) = sources
    seen = any(len(source.parts) > 1 or source.is_refit for source in sources)
    if others:
        text = (
            "The scores are of the runs together, each by its network that was not trained on the "
            "photo, with weights and a temperature fitted on other parts of the photos than they "
            "are scored on. What is served is fitted on all parts"
        )
        known = ", and was trained on all of these photos: it cannot be scored on them"
        return f"{text}{known if seen else ''}."
    if not seen:
        return "Of this network, on photos it was not trained on."
    served = "network that is served" if first.is_refit else "average of them"
    return (
        "The scores are of the networks of the single folds, on photos they were not trained on; "
        f"the {served} was trained on all of these photos and cannot be scored on them."
    )


def _data(class_names: list[str]) -> str:
    if all(name.startswith("drawn-") for name in class_names):
        return (
            "Trained and scored on **drawn pictures, not photos**. The scores show that the "
            "software works and say nothing about dermatology."
        )
    return (
        "Respect the terms of the photos it was trained on. The photos of the competition "
        "bttai-ajl-2025 are part of Fitzpatrick17k (Groh et al. 2021): annotations CC BY-NC-SA "
        "3.0, photos owned by their publishers, non-commercial research only. The weights of a "
        "model trained on them should be treated alike."
    )
