"""Rows of a sweep, with a stand-in for the train command that takes no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import f1_score, recall_score

from ajl_tf.config_file import load_experiment
from ajl_tf.errors import UserError
from ajl_tf.tune import main
from ajl_tf.tuning.sweep import read_sweep

EXPERIMENT = """
name = "small"
[split]
scheme = "3 folds"
[model]
backbone = "mobilenet_v2"
[[phases]]
name = "only"
epochs = 4
"""
ROWS = """
name = "switches"
experiment = "small.toml"
fold = 0
seeds = [1, 2]
[set]
"model.dropout" = 0.1
[rows.cutmix]
"augment.cutmix" = 1.0
"""
MORE = '[rows."more dropout"]\n"model.dropout" = 0.4\n'
# Right more often with CutMix, and a little by seed; writes down how it was called.
STAND_IN = """
import sys
from pathlib import Path
words = sys.argv[3:]
given = dict(w.split("=", 1) for w in words if "=" in w)
with (Path(__file__).parent / "calls").open("a") as calls:
    calls.write(" ".join(sorted(w for w in words if "=" in w)) + "\\n")
fold = Path(words[words.index("--runs") + 1]) / "small-1" / "fold_0"
fold.mkdir(parents=True)
right = 20 + int(10 * float(given.get("augment.cutmix", 0))) + int(given.get("seed", 0))
right = 2 if given.get("model.dropout") == "0.9" else right
rows = ["image_id,label,predicted,fold,skin_tone,group_id"]
for i in range(60):
    label = "ab"[i % 2]
    rows.append(f"v{i},{label},{label if i < right else 'c'},0,{1 + i % 6},{i}")
(fold / "predictions.csv").write_text("\\n".join(rows) + "\\n")
(fold / "result.json").write_text('{"data_hash": "of-the-photos"}')
"""


@pytest.fixture
def folder(sweep_folder: Callable[[str, str, str], Path]) -> Path:
    return sweep_folder(EXPERIMENT, ROWS, STAND_IN)


def tune(folder: Path) -> int:
    return main([str(folder / "sweep.toml"), "--out", str(folder / "out")])


def f1_of(right: int) -> float:
    label = ["ab"[i % 2] for i in range(60)]
    predicted = [own if i < right else "c" for i, own in enumerate(label)]
    return float(f1_score(label, predicted, average="weighted", zero_division=0))


def gain_on(band: str) -> float:
    """Of a band's macro recall, averaged over the two seeds, by CutMix."""
    own = [i for i in range(60) if str(1 + i % 6) in band.split("-")]
    label = ["ab"[i % 2] for i in own]

    def recall(right: int) -> float:
        predicted = [name if i < right else "c" for i, name in zip(own, label, strict=True)]
        return float(recall_score(label, predicted, labels=["a", "b"], average="macro"))

    return sum(recall(30 + seed) - recall(20 + seed) for seed in (1, 2)) / 2


def table(folder: Path) -> dict[str, list[str]]:
    """The Markdown table's cells after the first, by row."""
    lines = (folder / "out/ablation.md").read_text().splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in lines[2:]
        if line.startswith("|")
    ]
    assert {len(row) for row in cells} == {len(lines[0].strip("|").split(" | "))}
    return {row[0].strip(): row[1:] for row in cells}


def test_rows_are_tried_by_themselves_and_added_later(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(folder) == 0
    assert (folder / "calls").read_text().splitlines() == [
        "model.dropout=0.1 seed=1",
        "augment.cutmix=1.0 model.dropout=0.1 seed=1",
        "model.dropout=0.1 seed=2",
        "augment.cutmix=1.0 model.dropout=0.1 seed=2",
    ]
    rows = table(folder)
    assert list(rows) == ["as it is", "cutmix"]
    changes, score, difference, seeds, worst, on_band, _ = rows["cutmix"]
    of_seeds = [f1_of(30 + s) - f1_of(20 + s) for s in (1, 2)]
    assert changes == "`augment.cutmix = 1.0`"
    assert score.startswith(f"{(f1_of(31) + f1_of(32)) / 2:.3f} [")
    assert difference.startswith(f"{sum(of_seeds) / 2:+.3f} [+")
    assert difference.endswith("] higher")
    assert seeds == ", ".join(f"{value:+.3f}" for value in of_seeds)
    assert worst[:3] in ("1-2", "3-4", "5-6")
    band = rows["as it is"][4][:3]
    assert on_band.startswith(f"{band}: {gain_on(band):+.3f} [")
    assert on_band.endswith((" higher", " within the noise"))
    assert rows["as it is"][2] == rows["as it is"][5] == "–"
    out = capsys.readouterr().out
    assert "| cutmix |" in out
    figure = folder / "out/ablation.svg"
    assert f"figure  {figure}" in out
    assert f"cutmix {sum(of_seeds) / 2:+.3f}." in figure.read_text()
    file = folder / "out/best.toml"
    assert f"best    {file}" in out
    best = load_experiment(file)
    assert (best.augment.cutmix, best.model.dropout) == (1.0, 0.1)
    assert (
        f"is cutmix: weighted F1 {score}, difference to as it is {difference}."
        in (file.read_text().splitlines()[0])
    )
    outcome = pd.read_csv(folder / "out/outcome.csv")
    assert outcome["row"].tolist() == ["as it is", "cutmix"] * 2
    assert outcome["score"].iloc[1] == pytest.approx(f1_of(31))

    (folder / "sweep.toml").write_text(ROWS + MORE)
    assert tune(folder) == 0
    assert (folder / "calls").read_text().splitlines()[4:] == [
        "model.dropout=0.4 seed=1",
        "model.dropout=0.4 seed=2",
    ]
    rows = table(folder)
    assert list(rows) == ["as it is", "cutmix", "more dropout"]
    assert rows["more dropout"][2] == "+0.000 [+0.000, +0.000] within the noise"


def test_a_row_that_loses_much_is_a_number_in_the_figure(folder: Path) -> None:
    (folder / "sweep.toml").write_text(ROWS + '[rows."hardly any"]\n"model.dropout" = 0.9\n')
    assert tune(folder) == 0
    loss = f1_of(2) - (f1_of(21) + f1_of(22)) / 2
    assert f">{loss:+.3f}</text>" in (folder / "out/ablation.svg").read_text()


def test_a_row_that_is_changed_is_tried_anew(folder: Path) -> None:
    one = ROWS.replace("seeds = [1, 2]\n", "")
    (folder / "sweep.toml").write_text(one)
    assert tune(folder) == 0
    (folder / "sweep.toml").write_text(one.replace('cutmix" = 1.0', 'cutmix" = 0.5'))
    assert tune(folder) == 0
    assert (folder / "calls").read_text().splitlines() == [
        "model.dropout=0.1",
        "augment.cutmix=1.0 model.dropout=0.1",
        "augment.cutmix=0.5 model.dropout=0.1",
    ]
    assert table(folder)["cutmix"][0] == "`augment.cutmix = 0.5`"
    assert pd.read_csv(folder / "out/outcome.csv")["row"].tolist() == ["as it is", "cutmix"]


def test_a_row_that_the_file_has_lost_is_no_trial(folder: Path) -> None:
    (folder / "sweep.toml").write_text("trials = 2\n" + ROWS + MORE)
    assert tune(folder) == 0
    (folder / "sweep.toml").write_text("trials = 4\n" + ROWS)
    assert tune(folder) == 0
    outcome = pd.read_csv(folder / "out/outcome.csv")
    assert outcome["row"].tolist() == ["as it is", "cutmix"] * 2
    assert (outcome["state"] == "complete").all()


def test_a_row_may_have_phases_of_its_own(folder: Path) -> None:
    rows = ROWS.replace("seeds = [1, 2]", "").replace("[set]", '[set]\n"phases.only.epochs" = 3')
    phases = """
        [[rows.gradually.phases]]
        name = "top"
        epochs = 1
        [[rows.gradually.phases]]
        name = "all"
        epochs = 2
        unfreeze = 1.0
    """
    (folder / "sweep.toml").write_text(rows + phases)
    sweep, experiment = read_sweep(folder / "sweep.toml")
    base, _, gradually = (
        load_experiment(experiment, sweep.changes(c)).phases for c in sweep.combinations()
    )
    assert [(p.name, p.epochs) for p in base] == [("only", 3)]
    assert [(p.name, p.epochs, p.unfreeze) for p in gradually] == [("top", 1, 0.0), ("all", 2, 1.0)]

    assert tune(folder) == 0
    told = 'phases = [{name = "top", epochs = 1}, {name = "all", epochs = 2, unfreeze = 1.0}]'
    assert table(folder)["gradually"][0] == f"`{told}`"
    assert told.replace("phases = ", "phases=") in (folder / "calls").read_text()
    tried = (folder / "calls").read_text()
    assert tune(folder) == 0
    assert (folder / "calls").read_text() == tried


def test_rows_whose_predictions_are_gone_are_told(folder: Path) -> None:
    tune(folder)
    (folder / "out/trials/trial-0001/runs/small-1/fold_0/predictions.csv").unlink()
    with pytest.raises(UserError, match=r"trial-0001.* has no predictions\.csv any more"):
        tune(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ROWS + '[grid]\n"model.dropout" = [0.2]', "only one of the three"),
        (ROWS.replace("[rows.cutmix]", "[grid]").replace("= 1.0", "= [1.0]"), r"seed = \[1, 2\]"),
        (ROWS.replace("fold = 0", "prune = true"), "prune would end rows"),
        (ROWS.replace("rows.cutmix", 'rows."as it is"'), "no row may be called 'as it is'"),
        (ROWS.replace("rows.cutmix", 'rows."a|b"'), "rows.a|b"),
        (ROWS.replace("[1, 2]", "[1, 1]"), "seeds must differ"),
        (ROWS.replace('cutmix" = 1.0', 'cutmix" = -1.0'), r'row = "cutmix".*cutmix'),
        (ROWS.replace('"augment.cutmix" = 1.0', ""), "rows.cutmix"),
        (
            ROWS + '[[rows.two.phases]]\nname = "a"\nepochs = 1\nunfrees = 1.0',
            r"phases\.0\.unfrees: unknown key; did you mean 'unfreeze'",
        ),
    ],
)
def test_what_is_wrong_with_rows_is_told_before_anything_is_trained(
    folder: Path, text: str, words: str
) -> None:
    (folder / "sweep.toml").write_text(text)
    with pytest.raises(UserError, match=words):
        read_sweep(folder / "sweep.toml")
