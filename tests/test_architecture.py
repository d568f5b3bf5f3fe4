"""The shape of the package: imports go one way, commands are light, words and files agree."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ajl_tf
from ajl_tf.__main__ import VERBS

PACKAGE = Path(ajl_tf.__file__).parent
REPOSITORY = PACKAGE.parent

# A room, or a module beside the rooms, imports only what stands before it. Rooms before `config`
# do not know what an experiment file is: they take the few values they use. Verbs come last.
ORDER = (
    "process",
    "errors",
    "files",
    "sqlite",
    "orientation",
    "progress",
    "assessment",
    "pages",
    "reporting",
    "dataset",
    "models",
    "inspection",
    "config_tables",
    "config",
    "config_file",
    "runs",
    "training",
    "explanation",
    "serving",
    "tuning",
    "train_options",
)
# Leaves: assessment can score any predictions.csv, pages can show anything.
LEAF = {"assessment": {"errors", "files"}, "pages": {"errors", "files", "orientation"}}
# Written with Keras alone, so that another backend can run the same models.
WITHOUT_TENSORFLOW = (
    "assessment",
    "reporting",
    "models",
    "config_tables",
    "config",
    "config_file",
    "training.augment",
)
HEAVY = ("tensorflow", "keras")
MAX_LINES = 250


def modules() -> dict[str, Path]:
    """Dotted name below `ajl_tf` -> file; "" is the package itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """Full names that a file imports at any depth, under TYPE_CHECKING as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively; write ajl_tf.…"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(name: str) -> set[str]:
    """The modules of this package that one of them imports."""
    found = set()
    for full in imported(MODULES[name]):
        inner = full.removeprefix("ajl_tf").lstrip(".") if full.startswith("ajl_tf") else None
        while inner and inner not in MODULES:  # a name in a module, not a module
            inner = inner.rpartition(".")[0]
        if inner:
            found.add(inner)
    return found


def room(name: str) -> str:
    return name.partition(".")[0]


def test_every_module_has_its_place_in_the_order() -> None:
    assert len(set(ORDER)) == len(ORDER)
    known = {*ORDER, *VERBS, "__main__", ""}
    assert {room(name) for name in MODULES} <= known


def test_imports_go_one_way() -> None:
    rank = {name: position for position, name in enumerate(ORDER)}
    last = len(ORDER)
    back = [
        f"{name} imports {other}"
        for name in MODULES
        for other in own_imports(name)
        if room(other) != room(name)
        and rank.get(room(other), last) >= rank.get(room(name), last)
        and room(name)
    ]
    assert not back, back


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: own_imports(name) - {name} for name in MODULES}
    TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_a_leaf_imports_nothing_else_of_the_package() -> None:
    for leaf, allowed in LEAF.items():
        inside = [name for name in MODULES if room(name) == leaf]
        assert {room(other) for name in inside for other in own_imports(name)} <= {leaf, *allowed}


def test_what_any_keras_backend_can_run_does_not_import_tensorflow() -> None:
    free = [n for n in MODULES if room(n) in WITHOUT_TENSORFLOW or n in WITHOUT_TENSORFLOW]
    found = [n for n in free if any(room(full) == "tensorflow" for full in imported(MODULES[n]))]
    assert not found


def test_files_are_short_and_say_what_they_are_for() -> None:
    texts = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
    assert not {name for name, text in texts.items() if len(text.splitlines()) > MAX_LINES}
    silent = {
        name for name, text in texts.items() if text and not ast.get_docstring(ast.parse(text))
    }
    assert not silent


def test_the_number_of_conditions_comes_from_the_data() -> None:
    twenty_one = 3 * 7  # the competition's
    found = [
        f"{path}:{node.lineno}"
        for name, path in MODULES.items()
        if not name.startswith("dataset.phantom.")  # it draws with numbers of every kind
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == twenty_one
    ]
    assert not found


# --- Commands ---


@pytest.fixture(scope="module")
def without_heavy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which importing TensorFlow or Keras ends the process with an error."""
    folder = tmp_path_factory.mktemp("poison")
    for name in HEAVY:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('{name} was imported')")
    return {"PYTHONPATH": f"{folder}:{REPOSITORY}", "COLUMNS": "200"}


def python(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def helps(without_heavy: dict[str, str]) -> dict[str, subprocess.CompletedProcess[str]]:
    return {verb: python(without_heavy, "-m", f"ajl_tf.{verb}", "--help") for verb in sorted(VERBS)}


def test_the_poison_works(without_heavy: dict[str, str]) -> None:
    answer = python(without_heavy, "-c", "import ajl_tf.dataset.images")
    assert "tensorflow was imported" in answer.stderr


def test_the_verbs_listed_are_the_files_that_can_be_run() -> None:
    files = {
        path.stem
        for path in PACKAGE.glob("*.py")
        if "raise SystemExit(run_verb(main))" in path.read_text(encoding="utf-8")
    }
    assert set(VERBS) == files - {"__main__"}


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_light_and_says_what_the_command_does(
    verb: str, helps: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    answer = helps[verb]
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(f"usage: python -m ajl_tf.{verb} ")
    text = ast.get_docstring(ast.parse(MODULES[verb].read_text(encoding="utf-8")))
    assert text is not None
    assert text.split(".")[0] in answer.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_explained(
    verb: str, helps: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    entries = re.split(r"\n(?=  \S)", helps[verb].stdout.partition("\noptions:")[2])
    bare = [entry for entry in entries if re.fullmatch(r"\s*--\S+( [^\s]+)?\s*", entry)]
    assert not bare


@pytest.mark.parametrize("module", ["__main__", "config_file", "assessment.report"])
def test_these_need_neither_tensorflow_nor_keras(
    module: str, without_heavy: dict[str, str]
) -> None:
    answer = python(without_heavy, "-c", f"import ajl_tf.{module}")
    assert answer.returncode == 0, answer.stderr


# --- What is written about the package ---


def told() -> dict[Path, str]:
    """Everything that tells a user what to type; a backslash at a line's end is undone."""
    paths = [*MODULES.values(), *REPOSITORY.glob("*.md"), REPOSITORY / "Makefile"]
    for folder in ("data", "saved_models", "experiments", "examples"):
        for suffix in ("md", "toml", "ipynb"):
            paths += (REPOSITORY / folder).glob(f"*.{suffix}")
    return {path: path.read_text(encoding="utf-8").replace("\\\n", " ") for path in paths}


def test_commands_that_are_named_exist_with_their_options(
    helps: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    problems = []
    for path, text in told().items():
        for verb, rest in re.findall(r"python -m ajl_tf\.(\w+)([^\n`\"';|)]*)", text):
            if verb not in VERBS:
                problems.append(f"{path}: there is no command {verb}")
                continue
            options = re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)
            problems += [
                f"{path}: {verb} has no option {option}"
                for option in options
                if not re.search(rf"{option}\b(?!-)", helps[verb].stdout)
            ]
    assert not problems, problems


def test_experiment_files_that_are_named_exist() -> None:
    absent = [
        f"{path}: {name}"
        for path, text in told().items()
        for name in re.findall(r"\bexperiments/\w+\.toml", text)
        if not (REPOSITORY / name).is_file()
    ]
    assert not absent


def test_make_targets_that_are_named_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    absent = [
        f"{path}: make {name}"
        for path, text in told().items()
        for name in re.findall(
            r"(?:`|data: )make (\w+)|^make (\w+)(?:\s+#.*)?$", text, re.MULTILINE
        )
        if "".join(name[:2]) not in targets
    ]
    assert not absent


def test_extras_that_are_named_exist() -> None:
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    extras = set(config["options.extras_require"])
    assert {"gpu", "dev", "lite", "kaggle"} <= extras
    absent = [
        f"{path}: {name}"
        for path, text in told().items()
        for names in re.findall(r"ajl_tf\[([\w,]+)\]", text)
        for name in names.split(",")
        if name not in extras
    ]
    assert not absent


def test_the_citation_is_of_this_version() -> None:
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {ajl_tf.__version__}\n" in citation
    assert "\nlicense: Apache-2.0\n" in citation
