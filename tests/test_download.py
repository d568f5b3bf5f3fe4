"""Downloading: what lands in the folder, and what is said when nothing can."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import requests

from ajl_tf import download
from ajl_tf.errors import run_verb

SECRET = "0123456789abcdef-secret"


# kagglehub's, all of which are plain exceptions.
ERRORS = {
    name: type(name, (Exception,), {})
    for name in (
        *("BackendError", "ColabEnvironmentError", "CredentialError", "DataCorruptionError"),
        *("KaggleEnvironmentError", "NotFoundError", "UnauthenticatedError"),
    )
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A stand-in for kagglehub; set its `competition_download`."""
    exceptions = ModuleType("kagglehub.exceptions")
    vars(exceptions).update(ERRORS)
    stand_in = ModuleType("kagglehub")
    vars(stand_in).update(exceptions=exceptions)
    monkeypatch.setitem(sys.modules, "kagglehub", stand_in)
    monkeypatch.setitem(sys.modules, "kagglehub.exceptions", exceptions)
    return stand_in  # type: ignore[return-value] # a namespace for this purpose


def downloads(copy: Path) -> Callable[[str], str]:
    """A download of two CSVs and a photo into `copy`."""

    def fetch(name: str) -> str:
        (copy / "train/train/x").mkdir(parents=True, exist_ok=True)
        (copy / "train/train/x/1.jpg").write_bytes(b"jpeg")
        (copy / "train.csv").write_text(f"of {name}")
        (copy / "sample_submission.csv").touch()
        return str(copy)

    return fetch


def raises(error: Exception) -> Callable[[str], str]:
    def fetch(name: str) -> str:
        raise error

    return fetch


def run(*arguments: str | Path) -> int:
    return run_verb(download.main, [str(argument) for argument in arguments])


def test_what_is_downloaded_lands_in_the_folder(
    tmp_path: Path, hub: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.competition_download = downloads(tmp_path / "cache")
    out = tmp_path / "data"
    out.mkdir()
    (out / "README.md").write_text("mine")
    assert run("--out", out) == 0
    assert (out / "train.csv").read_text() == "of bttai-ajl-2025"
    assert (out / "train/train/x/1.jpg").read_bytes() == b"jpeg"
    assert (out / "README.md").read_text() == "mine"
    names = ["README.md", "sample_submission.csv", "train", "train.csv"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (tmp_path / "cache/train.csv").exists()
    assert f"{out} now holds sample_submission.csv, train, train.csv." in capsys.readouterr().out


def test_another_competition_and_a_new_folder(tmp_path: Path, hub: SimpleNamespace) -> None:
    hub.competition_download = downloads(tmp_path / "cache")
    assert run("--out", tmp_path / "a/b", "--competition", "other") == 0
    assert (tmp_path / "a/b/train.csv").read_text() == "of other"


def test_nothing_is_downloaded_where_data_is(
    tmp_path: Path, hub: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.competition_download = raises(AssertionError("was called"))
    (tmp_path / "train.csv").write_text("mine")
    assert run("--out", tmp_path) == 2
    assert f"{tmp_path} already holds train.csv; nothing was over" in capsys.readouterr().err
    assert (tmp_path / "train.csv").read_text() == "mine"


def test_nothing_is_overwritten(
    tmp_path: Path, hub: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.competition_download = downloads(tmp_path / "cache")
    out = tmp_path / "data"
    (out / "train").mkdir(parents=True)
    (out / "train/mine.jpg").touch()
    assert run("--out", out) == 2
    assert "already holds train;" in capsys.readouterr().err
    assert [path.name for path in out.rglob("*")] == ["train", "mine.jpg"]


def test_a_kill_while_copying_leaves_nothing(
    tmp_path: Path, hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(copy: Path, temporary: Path) -> None:
        temporary.mkdir()
        (temporary / "train.csv").touch()
        raise KeyboardInterrupt

    hub.competition_download = downloads(tmp_path / "cache")
    monkeypatch.setattr(download.shutil, "copytree", interrupted)
    assert run("--out", tmp_path / "data") == 130
    assert list((tmp_path / "data").iterdir()) == []


def answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"https://signed.example/?key={SECRET}", response=response)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ERRORS["UnauthenticatedError"](SECRET),
            ["not logged in", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME"],
        ),
        (answered(401), ["does not accept the token", "settings/api"]),
        (answered(403), ["not accepted the rules", "competitions/bttai-ajl-2025/rules"]),
        (answered(404), ["no competition 'bttai-ajl-2025'"]),
        (answered(500), ["answered with an error (500)", "Try again later"]),
        (requests.HTTPError(SECRET), ["answered with an error"]),
        (requests.ConnectionError(SECRET), ["could not be reached (ConnectionError)", "by hand"]),
        (requests.Timeout(SECRET), ["could not be reached (Timeout)", "by hand"]),
        (ERRORS["DataCorruptionError"](SECRET), ["arrived damaged. Run the command again"]),
        (ValueError(SECRET), ["kaggle.json"]),
        (ERRORS["BackendError"](SECRET), ["notebook", "(BackendError)", "Attach", "by hand"]),
        (ERRORS["KaggleEnvironmentError"](SECRET), ["(KaggleEnvironmentError)"]),
        (ERRORS["ColabEnvironmentError"](SECRET), ["(ColabEnvironmentError)"]),
        (ERRORS["CredentialError"](SECRET), ["(CredentialError)"]),
        (ERRORS["NotFoundError"](SECRET), ["(NotFoundError)"]),
    ],
)
def test_what_is_said_when_kaggle_gives_nothing(
    tmp_path: Path,
    hub: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    said: list[str],
) -> None:
    hub.competition_download = raises(error)
    assert run("--out", tmp_path / "data") == 2
    captured = capsys.readouterr()
    for text in said:
        assert text in captured.err
    assert SECRET not in captured.err + captured.out
    assert not (tmp_path / "data").exists()


def test_the_real_kagglehub_has_these_errors() -> None:
    exceptions = pytest.importorskip("kagglehub.exceptions")
    assert set(ERRORS) <= set(vars(exceptions))


def test_without_kagglehub(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert run("--out", tmp_path / "data") == 2
    said = capsys.readouterr().err
    assert 'pip install "ajl_tf[kaggle]"' in said
    assert f"put bttai-ajl-2025.zip into {tmp_path}/data/" in said


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ({}, "not logged in"),
        ({"KAGGLE_API_TOKEN": SECRET}, "could not be reached (ProxyError)"),
        ({"KAGGLE_USERNAME": "u", "KAGGLE_KEY": SECRET}, "could not be reached (ProxyError)"),
    ],
)
def test_the_real_kagglehub_without_login_and_without_network(
    tmp_path: Path, login: dict[str, str], said: str
) -> None:
    pytest.importorskip("kagglehub")
    offline = {"HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "ajl_tf.download", "--out", str(tmp_path / "data")],
        env={**offline, **login, "PYTHONPATH": str(Path(download.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_help_says_how_to_log_in(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        download.main(["--help"])
    assert ended.value.code == 0
    assert "KAGGLE_API_TOKEN" in capsys.readouterr().out
