"""Stochastic depth: whole residual branches left out in training, photo by photo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from ajl_tf.errors import UserError


def with_stochastic_depth(model: keras.Model, rate: float) -> keras.Model:
    """Makes residual branches drop out (Huang et al. 2016, arXiv:1603.09382).

    A branch counts where it is added to its own beginning. The last one is left out of a share
    `rate` of the photos of a batch, those before it the less the nearer they are to the photo; what
    is kept is enlarged, so that its mean stays and nothing changes when the network answers.

    Args:
        model: Functional; a backbone.
        rate: In [0, 1); 0 returns the model itself.

    Returns:
        A model of the same layers, with a Dropout, which has no weights, behind each branch.

    Raises:
        UserError: The model has no such branch, or drops its branches anyway.
    """
    if not rate:
        return model
    branches = dict(_branches(model))
    own = [
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.Dropout) and layer.noise_shape
    ]
    if own or not branches:
        why = (
            f"it has stochastic depth of its own ({len(own)} layers)"
            if own
            else "none of its layers adds a branch to what the branch began with"
        )
        raise UserError(
            f"model.stochastic_depth cannot be had with {model.name}: {why}. It goes with "
            "EfficientNet-Lite, MobileNetV2, RegNet-Y, ResNet, ViT and Swin; leave it out."
        )
    rates = {add: rate * number / len(branches) for number, add in enumerate(branches, start=1)}

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        if layer not in branches:
            return layer(*args, **kwargs)
        terms, place = list(args[0]), branches[layer]
        each = (None, *(1 for _ in terms[place].shape[1:]))  # one draw a photo
        drop = keras.layers.Dropout(rates[layer], noise_shape=each, name=f"{layer.name}_depth")
        terms[place] = drop(terms[place])
        return layer(terms)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _branches(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, int]]:
    """Each residual sum, from the photo on, and which of its two terms is the branch."""
    before: dict[Any, set[Any]] = {}  # node -> all that it follows from
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            parents = list(node.parent_nodes)
            before[node] = set(parents).union(*(before[parent] for parent in parents))
            if isinstance(node.operation, keras.layers.Add) and len(parents) == 2:
                for place, other in ((0, 1), (1, 0)):
                    if parents[other] in before[parents[place]]:
                        yield node.operation, place
