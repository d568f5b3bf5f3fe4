"""The verb evaluate: a run's folder or any predictions.csv in, a table and a report out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ajl_tf import evaluate
from ajl_tf.errors import run_verb

HEADER = "image_id,label,predicted,skin_tone,split\n"
ROWS = "".join(
    f"x{i},{'ab'[i % 2]},{'ab'[i % 3 % 2]},{i % 6 + 1},{'test' if i > 9 else 'train'}\n"
    for i in range(40)
)
CONFIG = 'name = "first"\n\n[model]\nbackbone = "resnet50"\nweights = "imagenet"\n'
LAST_LINE = "Research software: no diagnosis."


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run's folder, with the working directory where experiments/ is.

    No page is drawn, which takes a second each time: it has tests of its own.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ajl_tf.reporting.publish.publish", lambda *_, **__: None)
    folder = Path("experiments/runs/first")
    folder.mkdir(parents=True)
    (folder / "predictions.csv").write_text(HEADER + ROWS)
    (folder / "config.toml").write_text(CONFIG)
    (folder / "environment.json").write_text("{}\n")
    (folder / "photo.jpg").write_bytes(b"not to be kept")
    return folder


def _evaluate(*arguments: object) -> int:
    return run_verb(evaluate.main, [str(argument) for argument in arguments])


def test_a_run_gets_a_report_that_a_second_look_leaves_alone(run: Path, capsys) -> None:
    assert _evaluate(run) == 0
    out = capsys.readouterr().out
    assert "30 photos (split test)" in out
    assert LAST_LINE in out
    report = json.loads((run / "report.json").read_text())
    assert report["n"] == 30
    written = (run / "report.json").stat().st_mtime_ns
    assert _evaluate(run) == 0
    assert (run / "report.json").stat().st_mtime_ns == written


def test_a_report_that_says_something_else_is_not_overwritten(run: Path, capsys) -> None:
    (run / "report.json").write_text("mine")
    assert _evaluate(run) == 2
    captured = capsys.readouterr()
    assert LAST_LINE in captured.out  # what was computed is shown all the same
    assert "report.json" in captured.err
    assert "nothing was overwritten" in captured.err
    assert (run / "report.json").read_text() == "mine"
    assert _evaluate(run, "--out", "elsewhere") == 0
    assert json.loads(Path("elsewhere/report.json").read_text())["n"] == 30


def test_a_csv_with_a_manifest(run: Path, capsys) -> None:
    Path("theirs.csv").write_text("image_id,predicted\nx2,a\nx1,b\n")
    Path("manifest.csv").write_text("image_id,label,skin_tone\nx1,b,1\nx2,b,6\nx3,a,2\n")
    assert _evaluate("theirs.csv", "--manifest", "manifest.csv") == 0
    report = json.loads(Path("theirs.report.json").read_text())
    assert report["n"] == 2
    assert report["overall"]["accuracy"]["value"] == 0.5
    assert "theirs.report.json" in capsys.readouterr().out


def test_a_kept_summary_has_scores_and_nothing_of_one_photo(run: Path, capsys) -> None:
    assert _evaluate(run, "--keep", "first") == 0
    kept = Path("experiments/results/first")
    assert sorted(path.name for path in kept.iterdir()) == [
        "config.toml",
        "environment.json",
        "report.json",
    ]
    assert (kept / "report.json").read_bytes() == (run / "report.json").read_bytes()
    assert "x12" not in (kept / "report.json").read_text()
    assert _evaluate(run, "--keep", "first") == 0  # the same again changes nothing
    (kept / "config.toml").write_text('name = "other"\n')
    (kept / "environment.json").unlink()
    assert _evaluate(run, "--keep", "first") == 2
    assert (kept / "config.toml").read_text() == 'name = "other"\n'
    assert not (kept / "environment.json").exists()  # all or none
    assert "config.toml" in capsys.readouterr().err


def test_a_kept_summary_tells_no_folder_of_the_weights(run: Path, capsys) -> None:
    weights = str(Path("/home/Zoë/my weights/resnet.weights.h5"))
    (run / "config.toml").write_text(CONFIG.replace("imagenet", weights), encoding="utf-8")
    commands = {"command": ["train", "--set", f"model.weights={weights}"]}
    text = json.dumps(commands, ensure_ascii=False)
    (run / "environment.json").write_text(text, encoding="utf-8")
    assert _evaluate(run, "--keep", "local") == 0
    kept = Path("experiments/results/local")
    assert (kept / "config.toml").read_text() == CONFIG.replace("imagenet", "resnet.weights.h5")
    assert json.loads((kept / "environment.json").read_text()) == {
        "command": ["train", "--set", "model.weights=resnet.weights.h5"]
    }
    assert "Zoë" in (run / "config.toml").read_text(encoding="utf-8")  # the run's own is as it was
    (run / "config.toml").write_text("name = ")
    assert _evaluate(run, "--keep", "broken") == 2
    assert "is not as a run leaves it" in capsys.readouterr().err
    assert not Path("experiments/results/broken").exists()


def test_an_earlier_report_makes_place_for_a_newer_one(run: Path) -> None:
    assert _evaluate(run) == 0
    (run / "manifest.csv").write_text(
        "image_id,fitzpatrick_centaur\n" + "".join(f"x{i},{i % 3 + 1}\n" for i in range(40))
    )
    assert _evaluate(run, "--by", "fitzpatrick_centaur") == 0
    report = json.loads((run / "report.json").read_text())
    assert list(report["by"]) == ["fitzpatrick_centaur", "fitzpatrick_centaur (band)"]


def test_a_submission_is_scored_with_the_competitions_table(run: Path, capsys) -> None:
    Path("submission.csv").write_text("md5hash,label\nx2,a\nx1,b\nx3,b\n")
    Path("train.csv").write_text(
        "md5hash,fitzpatrick_scale,label,three_partition_label\n"
        "x1,1,b,benign\nx2,6,a,malignant\nx3,2,a,malignant\n"
    )
    assert _evaluate("submission.csv", "--manifest", "train.csv") == 0
    report = json.loads(Path("submission.report.json").read_text())
    assert report["overall"]["accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert report["malignant"]["sensitivity"]["value"] == 0.5
    assert [group["n"] for group in report["by_band"]["groups"]] == [2, 0, 1, 0]


def test_manifests_may_be_several(run: Path) -> None:
    Path("theirs.csv").write_text("image_id,predicted\nx2,a\nx1,b\n")
    Path("one.csv").write_text("image_id,label\nx1,b\n")
    Path("two.csv").write_text("image_id,label\nx2,b\n")
    assert _evaluate("theirs.csv", "--manifest", "one.csv", "--manifest", "two.csv") == 0
    assert json.loads(Path("theirs.report.json").read_text())["n"] == 2


def test_two_models_are_compared_on_the_same_photos(run: Path, capsys) -> None:
    lines = [f"x{i},{'ab'[i % 2 if i < 30 else 0]}" for i in range(10, 40)]
    Path("other.csv").write_text("image_id,predicted\n" + "\n".join(reversed(lines)))
    assert _evaluate(run, "--against", "other.csv") == 0
    out = capsys.readouterr().out
    assert "McNemar" in out
    comparison = json.loads((run / "against_other.json").read_text())
    assert comparison["n"] == 30
    assert comparison["overall"]["second"]["accuracy"] == pytest.approx(25 / 30, abs=1e-6)
    differing = (run / "against_other.csv").read_text().splitlines()
    assert differing[0] == "image_id,label,first,second,right,skin_tone"
    mcnemar = comparison["overall"]["mcnemar"]
    assert len(differing) > 1 + mcnemar["only_second"] - 1
    assert _evaluate(run, "--against", "other.csv") == 0  # again, over what it made itself
    Path("other.csv").write_text("image_id,predicted\nx1,a\n")
    assert _evaluate(run, "--against", "other.csv", "--out", "new") == 2
    assert "not scored on the same photos" in capsys.readouterr().err
    assert not Path("new").exists()


def test_ids_that_a_spreadsheet_would_run_are_written_as_texts(run: Path) -> None:
    lines = [
        f"{'=1+1' if i == 12 else f'x{i}'},{'ab'[i % 2 if i < 30 else 0]}" for i in range(10, 40)
    ]
    Path("other.csv").write_text("image_id,predicted\n" + "\n".join(lines))
    (run / "predictions.csv").write_text(HEADER + ROWS.replace("x12,a,a", "=1+1,a,b"))
    assert _evaluate(run, "--against", "other.csv") == 0
    assert "\n'=1+1,a,b,a,second," in (run / "against_other.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["experiments"], "experiments has no predictions.csv"),
        (["experiments/runs/first", "--keep", "../up"], "Received: '../up'"),
        (["experiments/runs/first/predictions.csv", "--keep", "x"], "from a run's folder"),
        (["experiments/runs/first", "--keep", "x", "--out", "o"], "from a run's folder"),
        (["experiments/runs/first", "--manifest", "none.csv"], "none.csv does not exist"),
        (["experiments/runs/first", "--by", "site"], "no column 'site' to divide the photos by"),
    ],
)
def test_bad_arguments_end_in_one_message(run: Path, capsys, arguments, expected: str) -> None:
    assert _evaluate(*arguments) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.out == ""
    assert not Path("experiments/results").exists()


def test_a_run_without_its_config_cannot_be_kept(run: Path, capsys) -> None:
    (run / "config.toml").unlink()
    assert _evaluate(run, "--keep", "x") == 2
    assert "lacks config.toml" in capsys.readouterr().err
    assert not (run / "report.json").exists()


def test_a_wrong_table_writes_no_report(run: Path, capsys) -> None:
    (run / "predictions.csv").write_text(HEADER + ROWS + "x1,a,a,9,test\n")
    assert _evaluate(run) == 2
    error = capsys.readouterr().err
    assert "skin_tone must be" in error
    assert "x1" in error
    assert not (run / "report.json").exists()


def test_the_table_is_printed_before_anything_is_drawn_and_without_heavy_libraries(
    run: Path,
) -> None:
    code = (
        "import sys\nfrom ajl_tf import evaluate\nfrom ajl_tf.assessment import report\n"
        "table = report.format_table\n"
        "def told(found):\n"
        "    assert 'matplotlib' not in sys.modules and 'jinja2' not in sys.modules\n"
        "    return table(found)\n"
        "report.format_table = told\n"
        f"evaluate.main([{str(run)!r}])\n"
        "assert 'matplotlib' in sys.modules\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_imports_not_even_pandas() -> None:
    code = (
        "import sys\nfrom ajl_tf import evaluate\n"
        "try:\n    evaluate.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'pandas' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "--manifest" in done.stdout
