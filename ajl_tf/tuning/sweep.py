"""What a sweep file may say: an experiment, what varies, and how far to look."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ajl_tf.config import Experiment
from ajl_tf.config_file import as_toml, load_experiment
from ajl_tf.config_tables import Name, Table
from ajl_tf.dataset.splits import parse_scheme
from ajl_tf.errors import UserError, listed

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]
# A table in a row: a phase, where the row has phases of its own.
Inner = dict[str, Value]
RowName = Annotated[str, Field(pattern=r"^[^|`\r\n]+$", max_length=80)]
Row = Annotated[dict[str, Value | list[Inner]], Field(min_length=1)]
SEED = "seed"  # in a grid: the same trial again, with other luck
ROW, BASE = "row", "as it is"  # a trial's row of an ablation, and the row without changes


class Span(Table):
    """Numbers from `low` to `high`, both included; whole numbers where both are."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _spans(self) -> Span:
        if self.low >= self.high:
            raise ValueError(f"low must be below high. Received: {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log = true needs low above 0, and no step")
        if self.step is not None and (self.step <= 0 or (self.is_whole and self.step % 1)):
            kind = (
                "a whole number above 0, as low and high are whole" if self.is_whole else "above 0"
            )
            raise ValueError(f"step must be {kind}. Received: {self.step}")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[int | float, ...]:
        """The values to check an experiment with."""
        return self.low, self.high


class Choices(Table):
    """One of several values."""

    choices: Annotated[list[Value], Field(min_length=1)]

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values to check an experiment with."""
        return tuple(self.choices)


class Sweep(Table):
    """A whole sweep file; one of `grid`, `space` and `rows`.

    Attributes:
        name: Of its folder.
        experiment: The experiment file, relative to the sweep file.
        set: Key -> value that all trials share.
        fold: Train this fold only, where the experiment has folds; None: all of them.
        score: What is to be high, on the rows that did not train: the scored folds, or the
            validation rows of a holdout (its test rows select nothing).
        seed: Of what is drawn.
        trials: How many; None is all of a grid.
        prune: Stop a trial early whose weighted F1 on the validation rows is below the median of
            the others at its epoch (needs epochs that validate: a holdout, or keep = "best"). No
            other score is taken after each epoch, so `score` must be weighted F1.
        patience: Epochs of every trial before it may be stopped.
        grid: Key -> values; every combination is tried. A `seed` here is not a setting but a
            repetition: the outcome averages over it.
        space: Key -> a range or choices that Optuna draws from (tree-structured Parzen estimator).
        rows: Name -> changes; each row is tried by itself against the experiment as it is, and may
            have `phases` of its own. Rows may be added to a study later.
        seeds: Of the experiment, with `rows`: all rows are trained with each, and compared seed by
            seed; none: with the experiment's own.
    """

    name: Name
    experiment: str
    set: dict[str, Value] = Field(default_factory=dict)
    fold: Annotated[int, Field(ge=0)] | None = None
    score: Literal["weighted_f1", "macro_f1", "accuracy"] = "weighted_f1"
    seed: Annotated[int, Field(ge=0)] = 0
    trials: Annotated[int, Field(ge=1)] | None = None
    prune: bool = False
    patience: Annotated[int, Field(ge=0)] = 3
    grid: dict[str, Annotated[list[Value], Field(min_length=1)]] = Field(default_factory=dict)
    space: dict[str, Span | Choices] = Field(default_factory=dict)
    rows: dict[RowName, Row] = Field(default_factory=dict)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _varies(self) -> Sweep:
        if sum(map(bool, (self.grid, self.space, self.rows))) != 1:
            raise ValueError(
                "there must be a [grid] or a [space] table, or [rows.<name>] tables, and only one "
                "of the three"
            )
        if self.seeds and not self.rows:
            raise ValueError("seeds goes with [rows.<name>]; in a [grid] write seed = [1, 2]")
        if self.rows and self.prune:
            raise ValueError("prune would end rows that are to be compared; leave it out")
        if self.prune and self.score != "weighted_f1":
            raise ValueError(
                "prune goes by weighted F1, the only score that is taken after each epoch: it "
                f'needs score = "weighted_f1". Received: score = "{self.score}"'
            )
        if len(set(self.seeds)) < len(self.seeds) or BASE in self.rows:
            raise ValueError(f"seeds must differ, and no row may be called {BASE!r}")
        if self.space and self.trials is None:
            raise ValueError("a [space] has no end: write trials = 30, say")
        both = sorted(set(self.set) & {*self.grid, *self.space})
        if both:
            raise ValueError(f"stand in [set] and vary as well: {', '.join(both)}")
        return self

    @property
    def hash(self) -> str:
        """Differs when the trials would; how many there are may grow, and so may the rows."""
        values = self.model_dump(mode="json", exclude={"trials", "rows", "seeds"})
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Every point of the grid, or row; of a space, each end of each range by itself."""
        if self.grid:
            for values in itertools.product(*self.grid.values()):
                yield dict(zip(self.grid, values, strict=True))
        if self.rows:
            for seed in [{SEED: seed} for seed in self.seeds] or [{}]:
                for name, changes in {BASE: {}, **self.rows}.items():
                    yield {ROW: name, **changes, **seed}
        for key, span in self.space.items():
            for value in span.ends:
                yield {key: value}

    def changes(self, varied: dict[str, Any]) -> list[str]:
        """`--set` of a trial."""
        values = {**self.set, **varied}
        return [f"{key}={as_toml(value)}" for key, value in values.items() if key != ROW]


def read_sweep(path: Path) -> tuple[Sweep, Path]:
    """Reads a sweep file, and checks that its experiment takes every value.

    Returns:
        The sweep and the path of its experiment.

    Raises:
        UserError: The file is missing or no TOML, holds unknown keys, or values that the experiment
            refuses; all of them are named.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        sweep = Sweep.model_validate(values)
    except FileNotFoundError:
        raise UserError(f"no sweep file {path}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; a sweep is a .toml file in it.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from None
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}".removeprefix(": ")
            for detail in error.errors()
        ]
        raise UserError(f"{path} is not a valid sweep:\n{listed(problems)}") from None
    experiment = Path(os.path.normpath(path.parent / sweep.experiment))
    load_experiment(experiment)
    refusals = {}
    for varied in sweep.combinations():
        try:
            _check_parts(sweep, load_experiment(experiment, sweep.changes(varied)))
        except UserError as error:
            refusals[str(error)] = ", ".join(f"{k} = {as_toml(v)}" for k, v in varied.items())
    if refusals:
        raise UserError(
            f"{path} asks for trials that {experiment} cannot have:\n"
            + listed([f"{where}: {problem}" for problem, where in refusals.items()])
        )
    return sweep, experiment


def _check_parts(sweep: Sweep, experiment: Experiment) -> None:
    """Refuses a fold that a trial does not have, and `prune` where none of its epochs validates."""
    scheme, keep = experiment.split.scheme, experiment.training.keep
    column, shares = parse_scheme(scheme)
    if sweep.fold is not None and column != "fold":
        raise UserError(f"fold goes with folds, and the split is {scheme!r}. Leave fold out")
    if sweep.fold is not None and sweep.fold >= len(shares):
        raise UserError(f"fold must be 0 to {len(shares) - 1}. Received: fold = {sweep.fold}")
    if sweep.prune and column == "fold" and keep == "last":
        raise UserError(
            "prune needs epochs that validate, which folds do not have with training.keep = "
            "'last'. Leave prune out, or set training.keep to 'best'"
        )
