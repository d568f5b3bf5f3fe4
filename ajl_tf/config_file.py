"""Reads an experiment file, and says what is wrong with it before any photo is read.

A wrong key or value is named by its dotted place (`phases.1.learning_rate`).
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ajl_tf.config import Experiment, Phase
from ajl_tf.errors import UserError, listed

_TOML_WORDS = {
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be an array",
}


def load_experiment(path: str | Path, changes: Sequence[str] = ()) -> Experiment:
    """Reads an experiment file.

    Args:
        path: A TOML file.
        changes: `table.key=value` each, value in TOML (a bare word counts as a string); a phase is
            addressed by its number from 0 or by its name: `phases.fine_tuning.epochs=3`.

    Raises:
        UserError: The file is missing, is no TOML, or holds unknown keys or values out of range;
            all of them are named.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = f" There are: {', '.join(near)}." if (near := _experiments(path.parent)) else ""
        raise UserError(f"no experiment file {path}.{there}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; an experiment is a .toml file in it.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from None
    for change in changes:
        _apply(values, change)
    return parse_experiment(values, str(path))


def parse_experiment(values: dict[str, Any], where: str) -> Experiment:
    """Validates a nested dict; `where` names its origin in the message of the UserError."""
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors()]
        raise UserError(f"{where} is not a valid experiment:\n{listed(problems)}") from None


def to_toml(experiment: Experiment) -> str:
    """The resolved experiment as TOML, every default written out; it loads to an equal object."""
    values = experiment.model_dump(mode="json", exclude_none=True)
    phases = values.pop("phases")
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = [_line(key, value) for key, value in values.items() if key not in tables]
    for header, table in [*((f"[{key}]", t) for key, t in tables.items())] + [
        ("[[phases]]", phase) for phase in phases
    ]:
        lines += ["", header, *(_line(key, value) for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any) -> str:
    return f"{key} = {as_toml(value)}"


def as_toml(value: Any) -> str:
    """A value as an experiment file writes it, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(_line(key, each) for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    # JSON is TOML but for a control character that only TOML wants escaped, and for the pairs of
    # escapes that JSON makes of an emoji.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _experiments(folder: Path) -> list[str]:
    """The TOML files of a folder, or of experiments/ where it has none."""
    found = [path for path in folder.glob("*.toml") if path.name != "pyproject.toml"]
    return sorted(map(str, found or Path("experiments").glob("*.toml")))


def _problem(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "the file as a whole"
    if detail["type"] == "extra_forbidden":
        return f"{place}: unknown key{_near_key(detail['loc'])}"
    message = _TOML_WORDS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
    received = detail["input"]
    shown = "" if isinstance(received, dict | BaseModel) else f" Received: {received!r}"
    return f"{place}: {message}.{shown}"


def _near_key(place: tuple[int | str, ...]) -> str:
    table: Any = Experiment
    for part in place[:-1]:
        if isinstance(part, str):
            annotation = table.model_fields[part].annotation
            table = Phase if part == "phases" else annotation
    near = difflib.get_close_matches(str(place[-1]), table.model_fields, n=1)
    known = ", ".join(table.model_fields)
    return f"; did you mean {near[0]!r}?" if near else f"; known are: {known}"


def _apply(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"--set takes table.key=value. Received: {change!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table: Any = values
    for part in parts[:-1]:
        table = (
            _phase(table, part, change) if isinstance(table, list) else table.setdefault(part, {})
        )
        if not isinstance(table, dict | list):
            raise UserError(f"--set {change}: {part!r} is a value, not a table")
    if isinstance(table, list):
        raise UserError(
            f"--set {change}: {parts[-2]!r} is an array. Set it as a whole, or name a phase and "
            "its key, as in phases.0.epochs=3"
        )
    table[parts[-1]] = value


def _phase(phases: list[Any], part: str, change: str) -> Any:
    tables = [phase for phase in phases if isinstance(phase, dict)]
    for number, phase in enumerate(tables):
        if part in (str(number), phase.get("name")):
            return phase
    names = ", ".join(str(phase.get("name")) for phase in tables)
    raise UserError(f"--set {change}: no phase {part!r}; there are: {names}")
