"""The tables of an experiment file: typed, frozen, validated; every key with its default."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ajl_tf.files import LONGEST_NAME, NAME
from ajl_tf.models.backbones import BACKBONES

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=f"^{NAME}$", max_length=LONGEST_NAME)]
# Columns that are the answer, were written with the answer in sight, or only name the row.
_NO_METADATA = re.compile(
    r"(\w+_partition_)?label|diagnosis|qc|predicted|prob_.*|drop_reason|split|fold|group_id|"
    r"image_id|md5hash|path|url|images|bytes",
    re.IGNORECASE,
)
_OF_TONE = re.compile(
    r"fitzpatrick|(?<![a-z])tone|skintone|ddi_scale|phototype|skin_?(type|colou?r)|monk|ethnic|"
    r"(?<![a-z])(fst|ita|race)(?![a-z])",
    re.IGNORECASE,
)


class Table(BaseModel):
    """A table: unknown keys, other types, NaN and later changes are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Table):
    """How a photo becomes the canvas that all share, and which photos are kept out of training."""

    # Pixels a side; None: 8/7 of the model's input, so that a random window has room to move in.
    canvas: Annotated[int, Field(ge=32, le=2048)] | None = None
    fit: Literal["cover", "contain"] = "cover"
    memory_limit_mb: Annotated[int, Field(ge=0)] = 4096  # canvases beyond it are kept on disk
    # Photos that train nothing and are scored all the same (`dataset.drops`): a CSV with image_id
    # and reason, relative to the working directory, and those whose column qc says one of these.
    drop: Annotated[str, Field(min_length=1)] | None = None
    drop_qc: Annotated[tuple[str, ...], Field(strict=False)] = ()


class Split(Table):
    """Which rows train and which are scored; the file is `experiments/splits/<name>_<scheme>.csv`.

    `name` names the data, not the experiment: experiments on the same data share the file.
    """

    name: Name = "ajl"
    scheme: str = "80/10/10"  # also "80/20", "3 folds", "5 folds", …
    seed: int = 0


class Model(Table):
    """The classifier: a backbone of the zoo, pooling, dropout, one dense layer."""

    backbone: str
    weights: str = "imagenet"  # or "none", or the path of a local file
    input_size: Annotated[int, Field(ge=32, le=1024)] | None = None  # None: the backbone's own
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    # "attention" learns where to look: a softmax over places. No features are cached then, so a
    # phase with a frozen backbone takes longer.
    pooling: Literal["average", "attention"] = "average"
    # Of each photo, over which the answers are averaged when held-out photos are scored, and in the
    # SavedModel: the photo alone, its eight flips and quarter turns, or these of it and its middle.
    views: Literal["none", "flips", "flips+crops"] = "none"
    # How often the last residual branch is left out in training, those before it less; 0 is off.
    stochastic_depth: Annotated[float, Field(ge=0, lt=1)] = 0.0
    # What is recorded of a photo and taken beside it, by the name of its column: "category" (values
    # are learnt from the training rows) or "number", as { sex = "category", age = "number" }. What
    # is missing is unknown, and the photo alone is always enough. See `dataset.metadata`.
    metadata: dict[str, Literal["category", "number"]] = Field(default_factory=dict)
    # How often a training photo is shown without all of it; of several columns each also by itself.
    metadata_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3

    @property
    def tone_columns(self) -> tuple[str, ...]:
        """Those of `metadata` that by their names tell the skin's tone, or go with it."""
        return tuple(name for name in self.metadata if _OF_TONE.search(name))

    @field_validator("metadata")
    @classmethod
    def _known_before_the_answer(cls, columns: dict[str, str]) -> dict[str, str]:
        if refused := [name for name in columns if _NO_METADATA.fullmatch(name)]:
            raise ValueError(
                f"{', '.join(refused)}: tells the answer, or only which photo it is. Take what is "
                "known before the diagnosis, as age, sex or body site"
            )
        if strange := [n for n in columns if not re.fullmatch(r"[A-Za-z]\w*", n, re.ASCII)]:
            raise ValueError(
                f"{', '.join(map(repr, strange))}: a column becomes an input of the SavedModel, so "
                "its name must be of letters, digits and _. Rename it in the CSV"
            )
        return columns

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, name: str) -> str:
        if name not in BACKBONES:
            near = difflib.get_close_matches(name, BACKBONES, n=3)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise ValueError(f"no such backbone; {hint}known are: {', '.join(BACKBONES)}")
        return name


class Loss(Table):
    """Categorical crossentropy, or its focal form (Lin et al. 2017, arXiv:1708.02002)."""

    name: Literal["crossentropy", "focal"] = "crossentropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 2.0
    # Share of a label that goes to the other conditions of its partition of the label tree.
    hierarchy: Annotated[float, Field(ge=0, lt=1)] = 0.0
    hierarchy_level: Literal["nine_partition_label", "three_partition_label"] = (
        "nine_partition_label"
    )
    # After training: times the log of a class's share of the training rows, off its logit.
    logit_adjustment: Annotated[float, Field(ge=0, le=2)] = 0.0


class Balance(Table):
    """What is done about rare conditions and rare tones: weights in the loss, or a sampler."""

    class_weights: Literal["none", "inverse", "effective_number"] = "none"
    effective_number_beta: Annotated[float, Field(ge=0, lt=1)] = 0.999
    sampler: Literal["none", "class", "tone", "class_tone"] = "none"
    double_weighting: bool = False

    @model_validator(mode="after")
    def _weighs_once(self) -> Balance:
        if self.ways > 1 and not self.double_weighting:
            raise ValueError(
                "class weights and a class sampler together weigh rare classes twice; choose one, "
                "or write double_weighting = true if that is meant"
            )
        return self

    @property
    def ways(self) -> int:
        """In how many ways rare classes count more: by the loss, by being drawn more often."""
        return (self.class_weights != "none") + (self.sampler in ("class", "class_tone"))


class Mitigation(Table):
    """What is done in training about gaps between tones, beside `balance.sampler = "tone"`."""

    # Step size of group distributionally robust optimisation over tone bands (0.01 in its paper):
    # bands that do worse count more. 0 is off.
    group_dro: Annotated[float, Field(ge=0, le=1)] = 0.0
    # How strongly the pooled features are made to forget the tone, in phases that train the
    # backbone (gradient reversal). 0 is off.
    tone_adversary: Annotated[float, Field(ge=0, le=10)] = 0.0


class Augment(Table):
    """Random changes of training photos; what each number means stands in `training.augment`."""

    horizontal_flip: bool = False
    vertical_flip: bool = False
    quarter_turns: bool = False
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, to either side
    zoom: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        default=(1.0, 1.0), strict=False
    )  # side of the window cut from the canvas, as a share of the canvas's side
    translation: Fraction = 0.0  # share of the canvas's side, beyond the room beside the window
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    hue: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees
    mixup: Annotated[float, Field(ge=0)] = 0.0  # alpha of the Beta distribution; 0 is off
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    shear: Annotated[float, Field(ge=0, le=60)] = 0.0  # degrees
    skin_tone: Annotated[float, Field(ge=0, le=60)] = 0.0  # degrees, of medium skin's ITA
    erasing: Fraction = 0.0  # how often a piece of the photo is blanked
    # How many of the changes that have a size each photo gets, drawn anew; 0: all of them. This and
    # wide sizes are what RandAugment does (Cubuk et al. 2019, arXiv:1909.13719).
    operations: Annotated[int, Field(ge=0)] = 0
    # Sizes of a photo's changes grow by this for each halving of how common its condition is.
    rare_boost: Fraction = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Augment:
        if self.zoom[0] > self.zoom[1]:
            raise ValueError(f"zoom must be [smallest, largest]. Received: {list(self.zoom)}")
        return self


class Training(Table):
    """What holds for all phases."""

    batch_size: Annotated[int, Field(ge=1)] = 32
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    xla: bool = False
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # momentum of the weights' average; 0 is off
    keep: Literal["best", "last"] = "best"  # best: by weighted F1 on the validation rows
    inner_validation: Annotated[float, Field(ge=0.001, lt=0.5)] = 0.1  # of a fold's training rows
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 5.0  # or an epoch if cheap; 0: a batch


class Phase(Table):
    """One stretch of training with its own optimizer: first a frozen backbone, then unfrozen."""

    name: Name
    epochs: Annotated[int, Field(ge=1)]
    unfreeze: float | str = 0.0  # share of the backbone's depth, from the top; or a layer's name
    augment: bool = True
    # Pixels a side while this phase trains, at most the model's; None: the model's. Small first,
    # large last costs less (progressive resizing; Howard 2018, Tan and Le 2021, arXiv:2104.00298).
    input_size: Annotated[int, Field(ge=32, le=1024)] | None = None
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # of sgd
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0  # first layer's rate: share of head's
    schedule: Literal["constant", "cosine", "step", "plateau"] = "cosine"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0  # cosine
    step_epochs: Annotated[int, Field(ge=1)] = 5  # step: every so often times `factor`
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1  # step and plateau
    plateau_patience: Annotated[int, Field(ge=1)] = 2
    accumulate: Annotated[int, Field(ge=1)] = 1  # batches to one update
    early_stopping: Annotated[int, Field(ge=0)] = 0  # epochs without a better score; 0 is off
    clip_norm: Annotated[float, Field(ge=0)] = 0.0  # 0 is off

    @field_validator("unfreeze", mode="plain")
    @classmethod
    def _share_or_layer(cls, value: object) -> float | str:
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
        raise ValueError("must be a share of the depth from 0 to 1, or the name of a layer")

    @model_validator(mode="after")
    def _consistent(self) -> Phase:
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError("adam has no weight_decay; use optimizer = 'adamw'")
        if self.warmup_epochs and self.schedule != "cosine":
            raise ValueError(f"warmup_epochs goes with schedule = 'cosine', not {self.schedule!r}")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs must be less than epochs ({self.epochs}). "
                f"Received: {self.warmup_epochs}"
            )
        return self
