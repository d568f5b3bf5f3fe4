"""The optimizer of a phase: its schedule, its weight decay, and how fast each depth learns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import keras

from ajl_tf.config import Phase
from ajl_tf.models.classifier import Classifier, weighted_layers


def depth_rates(classifier: Classifier, decay: float) -> dict[str, float]:
    """What the learning rate of each backbone variable is multiplied with, by its path.

    Layers nearer to the photo hold what all photos have in common and should move less:
    discriminative fine-tuning (Howard and Ruder 2018, arXiv:1801.06146), as layer-wise decay in
    BEiT (Bao et al. 2021, arXiv:2106.08254). Here the line from the first layer to the last is
    geometric in depth, whatever the number of layers.

    Args:
        classifier: From `build_classifier`.
        decay: In (0, 1]: the first layer's rate as a share of the head's.

    Returns:
        Empty where `decay` is 1; variables of the head are not in it.
    """
    if decay == 1.0:
        return {}
    layers = weighted_layers(classifier)
    shares = [number / len(layers) for number in range(len(layers), 0, -1)]  # 1 at the photo
    return {
        variable.path: decay**share
        for layer, share in zip(layers, shares, strict=True)
        for variable in layer.variables
    }


def make_optimizer(
    phase: Phase, steps: int, ema: float, rates: Mapping[str, float] | None = None
) -> keras.optimizers.Optimizer:
    """A phase's optimizer with its schedule.

    Args:
        phase: The experiment's.
        steps: Batches an epoch.
        ema: Momentum of the moving average of the weights, by update; 0 is off.
        rates: From `depth_rates`. Weight decay follows the schedule alone.
    """
    common: dict[str, Any] = {
        "learning_rate": make_schedule(phase, steps),
        "use_ema": ema > 0,
        "gradient_accumulation_steps": phase.accumulate if phase.accumulate > 1 else None,
        "global_clipnorm": phase.clip_norm or None,
    }
    if ema:
        # Keras averages after every batch, also where only every few make an update.
        common["ema_momentum"] = ema ** (1 / phase.accumulate)
    if phase.weight_decay:
        common["weight_decay"] = phase.weight_decay
    if phase.optimizer == "sgd":
        kind = keras.optimizers.SGD
        common |= {"momentum": phase.momentum, "nesterov": True}
    elif phase.optimizer == "adam":
        kind = keras.optimizers.Adam
    else:
        kind = keras.optimizers.AdamW
        # AdamW decays by 0.004 unless told; an experiment's 0 means 0.
        common = {"weight_decay": 0.0, **common}
    optimizer = _by_depth(kind)(rates, **common) if rates else kind(**common)
    if phase.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def make_schedule(
    phase: Phase, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Learning rate by batch; `"plateau"` is constant here and lowered by a callback."""
    rate = phase.learning_rate
    if phase.schedule == "cosine":
        warmup = round(phase.warmup_epochs * steps)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else rate,
            decay_steps=max(1, phase.epochs * steps - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    drops = range(phase.step_epochs, phase.epochs, phase.step_epochs)
    if phase.schedule == "step" and drops:
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            [drop * steps - 1 for drop in drops],  # the last batch at the rate before
            [rate * phase.factor**power for power in range(len(drops) + 1)],
        )
    return rate


@cache
def _by_depth(kind: type[keras.optimizers.Optimizer]) -> Any:
    """The same optimizer, with a learning rate for each variable."""

    class ByDepth(kind):
        def __init__(self, rates: Mapping[str, float], **values: Any):
            super().__init__(**values, name=f"{kind.__name__.lower()}_by_depth")
            self._rates = dict(rates)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            # A backend may hand over its own variable, which has no path.
            place = self._get_variable_index(variable)
            share = self._rates.get(self._trainable_variables[place].path, 1.0)
            super().update_step(gradient, variable, learning_rate * share)

    return ByDepth
