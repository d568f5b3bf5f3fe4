"""examples/ajl_tf_quickstart.ipynb runs from top to bottom, and tells no secret."""

from __future__ import annotations

import csv
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ajl_tf.config_file import parse_experiment
from ajl_tf.dataset.phantom import draw_set

NOTEBOOK = Path(__file__).parents[1] / "examples/ajl_tf_quickstart.ipynb"
LIMIT = 600  # seconds a cell; on two free cores the slowest takes half a minute
SECRET = "0123456789abcdef-secret"
OWN_TO_TINY = {
    'backbone = "efficientnet_lite0"': 'backbone = "tiny"\nweights = "none"',
    "phases.1.unfreeze=0.1": "phases.1.unfreeze=1.0",
}
LOGIN = ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN")


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def execute(notebook: Any, folder: Path) -> str:
    """Runs a notebook in a folder; returns all that its cells printed and showed as text."""
    NotebookClient(notebook, timeout=LIMIT, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs]
    return "\n".join(texts)


def experiment(notebook: Any) -> str:
    """The experiment file that a cell writes."""
    (cell,) = [cell for cell in notebook.cells if cell["id"] == "experiment"]
    text: str = cell.source.partition("\n")[2]
    return text


def until(notebook: Any, last: str) -> Any:
    """Leaves out what comes after the cell of this id."""
    ids = [cell["id"] for cell in notebook.cells]
    notebook.cells = notebook.cells[: ids.index(last) + 1]
    return notebook


@pytest.fixture
def quiet_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a Kaggle login and without the user's own settings of IPython."""
    for name in LOGIN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AJL_QUICK", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))


def test_it_is_kept_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


def test_it_says_first_what_it_is_not() -> None:
    first = read().cells[0]
    assert first.cell_type == "markdown"
    assert "Research software. It makes no diagnosis" in first.source


def test_its_experiment_is_one() -> None:
    assert parse_experiment(tomllib.loads(experiment(read())), "the notebook").name == "quickstart"


@pytest.fixture
def notebook(quiet_machine: None, tmp_path: Path) -> Any:
    """The notebook with a network of two layers, which its kernel finds in the zoo.

    With AJL_ZOO=1 the network is its own; to trace that one takes half of the time.
    """
    notebook = read()
    if os.environ.get("AJL_ZOO"):
        return notebook
    startup = "import sys\n"
    startup += f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    startup += "from conftest import add_tiny_backbone\n"
    startup += "from ajl_tf.models.zoo import BACKBONES\n"
    startup += "add_tiny_backbone(BACKBONES.__setitem__)\n"
    stand_in(tmp_path / "ipython/profile_default/startup/tiny.py", startup)
    for cell in notebook.cells:
        for own, tiny in OWN_TO_TINY.items():
            cell.source = cell.source.replace(own, tiny)
    assert 'backbone = "tiny"' in experiment(notebook)
    return notebook


def test_it_runs_from_top_to_bottom_on_drawn_photos(notebook: Any, tmp_path: Path) -> None:
    said = execute(notebook, tmp_path)
    assert "data: data/drawn" in said
    assert "DRAWN" in said
    assert "Warning" not in said
    assert "WARNING" not in said

    shown = [o for cell in notebook.cells for o in cell.get("outputs", []) if "data" in o]
    assert sum("image/png" in output.data for output in shown) == 2  # the chart and the photos
    table = next(o.data["text/plain"] for o in shown if "standardised_recall" in str(o.data))
    assert table.split("\n")[-1].split()[1] == "unknown"

    ids = rows(tmp_path / "data/drawn/test.csv", "md5hash")
    assert rows(tmp_path / "submission.csv", "md5hash") == ids
    labels = {path.name for path in (tmp_path / "data/drawn/train/train").iterdir()}
    assert set(rows(tmp_path / "submission.csv", "label")) <= labels
    assert rows(tmp_path / "predictions.csv", "image_id") == ids

    # What the SavedModel said of photos is what the run said of them.
    (run,) = (tmp_path / "experiments/runs").iterdir()
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        of_run = {row["image_id"]: row["predicted"] for row in csv.DictReader(file)}
    (answers,) = (o.data["text/plain"] for o in shown if "probability" in str(o.data))
    pairs = [line.split()[1:3] for line in answers.split("\n")[1:]]
    assert len(pairs) == 8
    assert all(of_run[image_id] == predicted for image_id, predicted in pairs)


@pytest.mark.usefixtures("quiet_machine")
def test_it_installs_from_the_repository_that_was_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / "lib/pip/__init__.py", "")
    stand_in(tmp_path / "lib/pip/__main__.py", "import sys; print('pip', sys.argv[1:])")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"), prepend=os.pathsep)
    (tmp_path / "sh").symlink_to("/bin/sh")  # what runs a %pip line
    monkeypatch.setenv("PATH", str(tmp_path))  # without nvidia-smi
    notebook = until(read(), "install")
    notebook.cells[-1].source = notebook.cells[-1].source.replace('"ajl_tf")', '"not_installed")')
    with pytest.raises(CellExecutionError, match="fill in REPOSITORY"):
        execute(notebook, tmp_path)
    notebook.cells[-1].source = notebook.cells[-1].source.replace(
        'REPOSITORY = ""', 'REPOSITORY = "https://example.org/ajl_tf"'
    )
    said = execute(notebook, tmp_path)
    assert "['install', '--quiet', 'ajl_tf[lite,kaggle] @ git+https://example.org/ajl_tf']" in said


@pytest.mark.usefixtures("quiet_machine")
def test_it_downloads_with_the_secrets_of_colab_and_prints_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = draw_set(tmp_path / "hub", 100, 48)
    (drawn / "drawn.json").unlink()
    stand_in(
        tmp_path / "lib/google/colab/userdata.py",
        "class SecretNotFoundError(Exception): pass\n"
        "class NotebookAccessError(Exception): pass\n"
        "def get(name):\n"
        "    if name == 'KAGGLE_API_TOKEN': raise SecretNotFoundError(name)\n"
        f"    return {SECRET!r}\n",
    )
    stand_in(tmp_path / "lib/google/colab/__init__.py", "")
    stand_in(
        tmp_path / "lib/kagglehub/__init__.py",
        "import os\n"
        "def competition_download(name):\n"
        f"    assert os.environ['KAGGLE_USERNAME'] == os.environ['KAGGLE_KEY'] == {SECRET!r}\n"
        f"    return {str(drawn)!r}\n",
    )
    stand_in(
        tmp_path / "lib/kagglehub/exceptions.py",
        "class DataCorruptionError(Exception): pass\nclass UnauthenticatedError(Exception): pass\n",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"), prepend=os.pathsep)
    notebook = until(read(), "data")
    said = execute(notebook, tmp_path)
    assert SECRET not in json.dumps(notebook)
    assert "data: data\n" in said
    assert rows(tmp_path / "data/train.csv", "md5hash") == rows(drawn / "train.csv", "md5hash")


@pytest.mark.usefixtures("quiet_machine")
@pytest.mark.parametrize("where", ["bttai-ajl-2025", "competitions/bttai-ajl-2025"])
def test_it_takes_what_kaggle_has_mounted(where: str, tmp_path: Path) -> None:
    (tmp_path / "input" / where).mkdir(parents=True)
    notebook = until(read(), "data")
    source = notebook.cells[-1].source
    notebook.cells[-1].source = source.replace("/kaggle/input", str(tmp_path / "input"))
    assert notebook.cells[-1].source != source
    assert f"data: {tmp_path / 'input' / where}" in execute(notebook, tmp_path)
    assert not (tmp_path / "data").exists()


def stand_in(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def rows(path: Path, column: str) -> list[str]:
    """A column of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row[column] for row in csv.DictReader(file)]
