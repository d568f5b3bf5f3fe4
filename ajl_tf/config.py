"""What an experiment may say: typed, frozen, validated objects.

`config_file` reads them from TOML. Only verbs know the whole `Experiment`; every other function
takes the few values it uses.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from ajl_tf.config_tables import (
    Augment,
    Balance,
    Data,
    Loss,
    Mitigation,
    Model,
    Name,
    Phase,
    Split,
    Table,
    Training,
)
from ajl_tf.models.backbones import BACKBONES

__all__ = [
    "Augment",
    "Balance",
    "Data",
    "Experiment",
    "Loss",
    "Mitigation",
    "Model",
    "Phase",
    "Split",
    "Training",
]


class Experiment(Table):
    """A whole experiment file."""

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: Data = Data()
    split: Split = Split()
    model: Model
    loss: Loss = Loss()
    balance: Balance = Balance()
    mitigation: Mitigation = Mitigation()
    augment: Augment = Augment()
    training: Training = Training()
    phases: Annotated[tuple[Phase, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        if not self.phases:
            raise ValueError("there must be at least one [[phases]] table")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"phases need different names. Received: {names}")
        watching = [p.name for p in self.phases if p.early_stopping or p.schedule == "plateau"]
        if watching and self.training.keep == "last":
            raise ValueError(
                "training.keep = 'last' fixes the epochs and selects nothing, so early_stopping "
                f"and schedule = 'plateau' have nothing to watch (phases: {', '.join(watching)})"
            )
        if self.model.tone_columns and self.mitigation.tone_adversary:
            raise ValueError(
                "mitigation.tone_adversary makes a network forget the tone that model.metadata "
                f"tells it ({', '.join(self.model.tone_columns)}); choose one"
            )
        twice = self.loss.logit_adjustment and self.balance.ways
        if twice and not self.balance.double_weighting:
            raise ValueError(
                "loss.logit_adjustment is by how common classes are, and class weights or a class "
                "sampler have evened that out already: rare classes would be weighed twice. Choose "
                "one, or write balance.double_weighting = true if that is meant"
            )
        if self.canvas < self.input_size:
            raise ValueError(
                f"data.canvas ({self.canvas}) must be at least the model's input size "
                f"({self.input_size}), or photos would be enlarged"
            )
        for phase in self.phases:
            if phase.input_size and phase.input_size > self.input_size:
                raise ValueError(
                    f"phases.{phase.name}.input_size ({phase.input_size}) must be at most the "
                    f"model's input size ({self.input_size})"
                )
        return self

    @property
    def input_size(self) -> int:
        """Side of the classifier's input in pixels."""
        return self.model.input_size or BACKBONES[self.model.backbone].input_size

    @property
    def canvas(self) -> int:
        """Side of the canvas in pixels."""
        return self.data.canvas or round(self.input_size * 8 / 7)

    @property
    def weights_name(self) -> str:
        """`model.weights` as it may be published: of a local file its name alone."""
        return Path(self.model.weights).name

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits that differ when any resolved value differs."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:8]
