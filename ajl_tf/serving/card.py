"""The model card: what a SavedModel is for, what it scored on every skin tone, where it ends.

Its sections follow Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv:1810.03993).
"""

from __future__ import annotations

from typing import Any

from ajl_tf.assessment.report import format_table
from ajl_tf.config import Experiment
from ajl_tf.models.backbones import BACKBONES


def model_card(experiment: Experiment, report: dict[str, Any], run: str, members: int) -> str:
    """The card as Markdown.

    Args:
        experiment: Resolved.
        report: From `assessment.report.make_report`.
        run: The run's name.
        members: Networks in the SavedModel; their probabilities are averaged.
    """
    backbone = BACKBONES[experiment.model.backbone]
    networks = "one network" if members == 1 else f"the average of {members} networks"
    averaged = (
        ""
        if members == 1
        else "\nThe scores are of the single networks on photos they were not trained on; the "
        "average of them was trained on all of these photos and cannot be scored on them.\n"
    )
    return f"""# {experiment.name}

**Research software. It makes no diagnosis and must not be used for one.**

## Model

- {networks}, backbone `{backbone.name}`, input {experiment.input_size} pixels,
  {len(report["classes"])} classes
- starting weights: `{experiment.model.weights}` ({_origin(experiment)})
- run `{run}`, configuration {experiment.hash}

## Use

Meant for research on how well photos of skin conditions can be told apart on every skin tone. Not
meant for patients, triage, or any decision about a person. A photo of something else (another
condition, healthy skin, a cat) gets one of the {len(report["classes"])} answers all the same.

## Data

{_data(report["classes"])}

## Scores

`{report["rows"]}`, n = {report["n"]}. Intervals are 95 %.
{averaged}
```
{format_table(report)}
```

## Limits

- Skin tone is an annotator's reading of a photo on the Fitzpatrick scale, not a measurement.
- Groups with few photos have wide intervals: what they cannot tell apart, this card does not claim.
- Scores are on photos of the same collection; another camera, clinic or population may score lower.
"""


def _origin(experiment: Experiment) -> str:
    if experiment.model.weights == "none":
        return "random"
    backbone = BACKBONES[experiment.model.backbone]
    if experiment.model.weights == "imagenet":
        return f"ImageNet, licence {backbone.licence}"
    return "a local file; mind its licence"


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
