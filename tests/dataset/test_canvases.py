"""Canvases are the same from memory and disk, and a cache of something else is never met."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ajl_tf.dataset import canvases, reading
from ajl_tf.dataset.canvases import content_hash, load_canvases
from ajl_tf.errors import UserError

Load = Callable[..., np.ndarray]


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Six photos of noise, of different sizes."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (12 + number, 20, 3), np.uint8)).save(path)
        made.append(str(path))
    return made


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load_canvases` from disk, with defaults that a call may change."""

    def call(paths: list[str], **changes: object) -> np.ndarray:
        settings = {"size": 16, "mode": "cover", "cache": tmp_path / "cache", "memory_limit_mb": 0}
        return load_canvases(paths, **{"announce": False, **settings, **changes})

    return call


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that were really read."""
    read: list[str] = []

    def spy(paths: list[str], *rest: object) -> Iterator[np.ndarray | str]:
        for path, photo in zip(paths, reading.read_photos(paths, *rest), strict=True):
            read.append(path)
            yield photo

    monkeypatch.setattr(canvases, "read_photos", spy)
    return read


def test_memory_and_disk_give_the_same(paths: list[str], load: Load, tmp_path: Path) -> None:
    in_memory = load(paths, memory_limit_mb=100)
    assert not (tmp_path / "cache").exists()
    built, found = load(paths), load(paths)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert in_memory.shape == (6, 16, 16, 3)
    assert in_memory.dtype == built.dtype == np.uint8
    for row, path in enumerate(paths):
        with Image.open(path) as photo:
            side = min(photo.size)
            left, top = (photo.width - side) // 2, (photo.height - side) // 2
            square = photo.crop((left, top, left + side, top + side))
            expected = np.asarray(square.resize((16, 16), Image.Resampling.BILINEAR))
        assert np.abs(in_memory[row].astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(built, in_memory)
    np.testing.assert_array_equal(found, in_memory)
    assert isinstance(found, np.memmap)
    assert content_hash(built) == content_hash(in_memory)
    assert content_hash(in_memory[::-1].copy()) != content_hash(in_memory)


def test_a_cache_of_the_same_is_found_and_not_made_again(
    paths: list[str], load: Load, decoded: list[str]
) -> None:
    load(paths)
    assert decoded == paths
    load(paths)
    assert decoded == paths


def rewritten(path: str) -> None:
    """As many bytes, saved a moment later."""
    before = Path(path).stat()
    Path(path).write_bytes(Path(path).read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert Path(path).stat().st_size == before.st_size


OTHERS: dict[str, Callable[[list[str], Load], np.ndarray]] = {
    "size": lambda paths, load: load(paths, size=17),
    "mode": lambda paths, load: load(paths, mode="contain"),
    "order": lambda paths, load: load(paths[::-1]),
    "fewer": lambda paths, load: load(paths[:-1]),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_cache_of_other_settings_is_not_used(
    paths: list[str], load: Load, decoded: list[str], other: str
) -> None:
    load(paths)
    del decoded[:]
    got = OTHERS[other](paths, load)
    assert len(decoded) == len(got)
    assert not np.array_equal(got, load(paths)[: len(got)]) or other == "fewer"


def test_a_cache_of_changed_photos_is_not_used(
    paths: list[str], load: Load, decoded: list[str]
) -> None:
    load(paths)
    del decoded[:]
    rewritten(paths[3])
    load(paths)
    assert decoded == paths


@pytest.mark.parametrize("module", ["images", "exif", "headers"])
def test_a_cache_of_other_code_is_not_used(
    paths: list[str],
    load: Load,
    decoded: list[str],
    module: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(paths)
    del decoded[:]
    source = canvases.inspect.getsource
    changed = getattr(canvases, module)
    monkeypatch.setattr(canvases.inspect, "getsource", lambda m: source(m) + "#" * (m is changed))
    load(paths)
    assert decoded == paths


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_interrupted_build_leaves_nothing(
    paths: list[str],
    load: Load,
    tmp_path: Path,
    failure: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(paths: list[str], *rest: object) -> Iterator[np.ndarray | str]:
        yield np.zeros((16, 16, 3), np.uint8)
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(canvases, "read_photos", broken)
        with pytest.raises(failure):
            load(paths)
    assert list((tmp_path / "cache").iterdir()) == []
    np.testing.assert_array_equal(load(paths), load(paths, memory_limit_mb=1))


def test_of_two_builders_at_once_one_builds_for_both(
    paths: list[str], load: Load, tmp_path: Path, decoded: list[str]
) -> None:
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(load(paths))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert decoded == paths
    expected = load(paths, memory_limit_mb=1)
    assert len(results) == 2
    for result in results:
        np.testing.assert_array_equal(result, expected)


BUILDER = """
import json, sys, time
from pathlib import Path
from ajl_tf.dataset import canvases, reading

folder, paths, read = Path(sys.argv[1]), sys.argv[3:], []

def slow(*arguments):
    for photo in reading.read_photos(*arguments):
        read.append(photo)
        time.sleep(0.2)  # so that the other one comes while this one builds
        yield photo

canvases.read_photos = slow
(folder / sys.argv[2]).touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.01)
made = canvases.load_canvases(paths, 16, "cover", cache=folder / "cache", memory_limit_mb=0)
print(json.dumps([canvases.content_hash(made), len(read)]))
"""


def test_of_two_processes_at_once_one_builds_for_both(
    paths: list[str], load: Load, tmp_path: Path
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(tmp_path), f"ready-{number}", *paths],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    (first, read), (second, also_read) = (json.loads(out) for out, _ in said)
    assert first == second == content_hash(load(paths, memory_limit_mb=1))
    assert sorted((read, also_read)) == [0, len(paths)]
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("damage", ["a bit", "cut short", "empty"])
def test_a_damaged_cache_is_told_of_and_made_again(
    damage: str, paths: list[str], load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = np.array(load(paths))
    (file,) = (tmp_path / "cache").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes({"a bit": data, "cut short": data[:-1], "empty": b""}[damage])
    (tmp_path / "cache" / f".1-12345678.{file.name}").write_bytes(b"left by a kill")
    np.testing.assert_array_equal(load(paths), expected)
    assert capsys.readouterr().err == f"warning: the cache {file} is damaged and made again\n"
    assert list((tmp_path / "cache").iterdir()) == [file]
    np.testing.assert_array_equal(load(paths), expected)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("memory_limit_mb", [0, 1], ids=["disk", "memory"])
def test_all_photos_that_cannot_be_used_are_named_in_one_message(
    paths: list[str], load: Load, tmp_path: Path, memory_limit_mb: int
) -> None:
    Path(paths[1]).write_bytes(b"")
    Path(paths[2]).write_text("no photo")
    Path(paths[4]).unlink()
    bad = [tmp_path / f"bad{number}.jpg" for number in range(30)]
    for path in bad:
        path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError) as caught:
        load([*paths, *map(str, bad)], memory_limit_mb=memory_limit_mb)
    message = str(caught.value)
    assert message.startswith("33 of 36 photos cannot be used")
    assert f"{paths[1]}: the file is empty\n" in message
    assert f"{paths[2]}: not a JPEG or PNG photo" in message
    assert f"{paths[4]}: cannot be read: No such file or directory\n" in message
    assert all(f"{path}: damaged" in message for path in bad)
    assert "take their rows out of the CSV" in message
    assert not any((tmp_path / "cache").glob("*"))


def test_where_the_memory_is_used_up_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    greedy = lambda *_: lambda _: tf.zeros(1 << 50)  # noqa: E731 - petabytes
    monkeypatch.setattr(canvases, "preprocessor", greedy)
    with pytest.raises(UserError, match=r"out of memory .* lower data\.memory_limit_mb"):
        load_canvases([str(tmp_path / "a.png")], 8, "cover", cache=tmp_path, memory_limit_mb=1)
