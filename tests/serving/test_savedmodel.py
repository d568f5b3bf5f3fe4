"""A SavedModel answers as the network in this process does, where this package is not installed."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from ajl_tf.errors import UserError
from ajl_tf.serving import savedmodel
from ajl_tf.serving.draft import draft
from ajl_tf.serving.savedmodel import Member, Server, class_names, load, save
from ajl_tf.training.predicting import image_predictor

CLASS_NAMES = ["tinea", "acne, mild", 'the "other"']
CANVAS, ATOL = 40, 1e-5
EXAMPLE = Path(__file__).parents[2] / "examples" / "batch_inference.py"


@pytest.fixture(scope="module")
def model(saved_model: Path) -> Any:
    return load(saved_model)


@pytest.fixture(scope="module")
def photos(drawn_set: Path) -> list[Path]:
    return sorted((drawn_set / "test" / "test").glob("*.jpg"))[:14]


@pytest.fixture(scope="module")
def files(photos: list[Path]) -> list[bytes]:
    return [path.read_bytes() for path in photos]


@pytest.fixture(scope="module")
def expected(tiny_classifiers: list[Any], files: list[bytes], model: Any) -> np.ndarray:
    """Probabilities of the files, by the way that training takes to its validation scores."""
    canvases = np.stack([model.preprocess(tf.constant(data)) for data in files])
    predict = image_predictor(tiny_classifiers[0].model, 32)
    return softmax(predict(canvases, np.arange(len(files)), 5), axis=-1)


def served(model: Any, signature: str, **inputs: Any) -> np.ndarray:
    array: np.ndarray = model.signatures[signature](**inputs)["probabilities"].numpy()
    return array


def test_both_signatures_answer_as_the_network_in_process(
    model: Any, files: list[bytes], expected: np.ndarray
) -> None:
    canvases = np.stack([model.preprocess(tf.constant(data)) for data in files])
    assert canvases.shape == (14, CANVAS, CANVAS, 3)
    by_image = served(model, "serving_default", images=tf.constant(canvases))
    by_bytes = served(model, "serve_bytes", bytes=tf.constant(files))
    np.testing.assert_allclose(by_image, expected, atol=ATOL)
    np.testing.assert_allclose(by_bytes, expected, atol=ATOL)
    assert expected.std(axis=0).min() > 0.05  # the photos differ, or this test would say nothing


def test_predicted_is_the_label_of_the_most_probable(
    model: Any, files: list[bytes], expected: np.ndarray
) -> None:
    answer = model.signatures["serve_bytes"](bytes=tf.constant(files))
    assert set(answer) == {"probabilities", "predicted"}
    labels = [name.decode() for name in answer["predicted"].numpy()]
    assert labels == [CLASS_NAMES[i] for i in expected.argmax(axis=1)]
    assert len(set(labels)) > 1
    assert class_names(model) == CLASS_NAMES


@given(order=st.lists(st.integers(0, 13), min_size=1, max_size=7))
@settings(max_examples=15)
def test_any_batch_size_and_order_give_each_photo_its_answer(
    model: Any, files: list[bytes], expected: np.ndarray, order: list[int]
) -> None:
    got = served(model, "serve_bytes", bytes=tf.constant([files[i] for i in order]))
    np.testing.assert_allclose(got, expected[order], atol=ATOL)


@given(shape=st.tuples(st.integers(1, 70), st.integers(1, 70)), n=st.integers(1, 3))
@settings(max_examples=15)
def test_images_of_any_size_are_fitted_inside(
    model: Any, tiny_classifiers: list[Any], shape: tuple[int, int], n: int
) -> None:
    photos = np.random.default_rng(n).integers(0, 256, (n, *shape, 3), np.uint8)
    got = served(model, "serving_default", images=tf.constant(photos))
    canvases = savedmodel.fit(tf.constant(photos), CANVAS, "cover")
    logits = tiny_classifiers[0].model(tf.image.resize(canvases, (32, 32)), training=False)
    np.testing.assert_allclose(got, tf.nn.softmax(logits), atol=ATOL)


def test_preprocess_is_mapped_over_files(
    model: Any, photos: list[Path], expected: np.ndarray
) -> None:
    paths = tf.data.Dataset.from_tensor_slices([str(path) for path in photos])
    batches = paths.map(tf.io.read_file).map(model.preprocess, tf.data.AUTOTUNE).batch(4)
    got = [served(model, "serving_default", images=batch) for batch in batches]
    np.testing.assert_allclose(np.concatenate(got), expected, atol=ATOL)


def test_a_bad_photo_is_refused_by_every_function(model: Any, files: list[bytes]) -> None:
    for data in (b"", b"text", files[0][:-40]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            model.preprocess(tf.constant(data))
        with pytest.raises(tf.errors.InvalidArgumentError):
            served(model, "serve_bytes", bytes=tf.constant([files[1], data]))


ELSEWHERE = """
import json, runpy, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ajl_tf", "pandas", "PIL"):
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocked())
model, folder, out, example = sys.argv[1:]
sys.argv = [example, model, folder, out]
known = runpy.run_path(example, run_name="__main__")
answer = known["model"].signatures["serve_bytes"]
data = known["tf"].constant([path.read_bytes() for path in known["paths"]])
json.dump(answer(bytes=data)["probabilities"].numpy().tolist(), sys.stdout)
"""


def test_the_example_predicts_where_this_package_is_not_installed(
    saved_model: Path, photos: list[Path], files: list[bytes], expected: np.ndarray, tmp_path: Path
) -> None:
    folder = tmp_path / "photos" / "deep"
    folder.mkdir(parents=True)
    for path in photos:
        shutil.copy(path, folder)
    out = tmp_path / "predictions.csv"
    # -I: without the current folder, PYTHONPATH and the user's packages.
    command = [sys.executable, "-I", "-c", ELSEWHERE]
    arguments = [str(saved_model), str(folder.parent), str(out), str(EXAMPLE)]
    done = subprocess.run(
        [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=ATOL)

    from ajl_tf import predict
    from ajl_tf.assessment.predictions import read_predictions

    assert (
        predict.main([str(saved_model), str(folder.parent), "--out", str(tmp_path / "v.csv")]) == 0
    )
    by_example, by_verb = read_predictions(out), read_predictions(tmp_path / "v.csv")
    assert by_example.columns.tolist() == by_verb.columns.tolist()
    for column in ("image_id", "predicted"):
        assert by_example[column].tolist() == by_verb[column].tolist()
    probabilities = [f"prob_{name}" for name in CLASS_NAMES]
    np.testing.assert_allclose(by_example[probabilities], by_verb[probabilities], atol=ATOL)
    np.testing.assert_allclose(by_verb[probabilities], expected, atol=ATOL)


@pytest.fixture
def server(tiny_classifiers: list[Any]) -> Server:
    return Server([Member(tiny_classifiers[0].model, 32)], CLASS_NAMES, CANVAS, "cover")


def test_members_with_inputs_of_their_own_are_averaged(
    tiny_classifiers: list[Any], tmp_path: Path
) -> None:
    members = [Member(tiny_classifiers[0].model, 32), Member(tiny_classifiers[1].model, 40)]
    loaded = load(save(Server(members, CLASS_NAMES, 48, "contain"), tmp_path / "both", {}))
    photos = np.random.default_rng(0).integers(0, 256, (3, 30, 60, 3), np.uint8)
    canvases = savedmodel.fit(tf.constant(photos), 48, "contain")
    logits = [m.model(tf.image.resize(canvases, (m.input_size,) * 2)).numpy() for m in members]
    each = softmax(logits, axis=-1)
    assert np.abs(each[0] - each[1]).max() > 0.05
    expected = softmax(np.mean(logits, axis=0), axis=-1)
    assert np.abs(expected - each.mean(axis=0)).max() > 0.05, "no test of what is averaged"
    got = served(loaded, "serving_default", images=tf.constant(photos))
    np.testing.assert_allclose(got, expected, atol=ATOL)


def test_versions_count_up_and_none_is_replaced(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "name"
    for other in ("7", "notes", "00", ".9"):
        (folder / other).mkdir(parents=True)
    (folder / "7" / "mine").touch()
    # As two exports at once would see it: the second finds its number taken at the last moment.
    numbers = iter([7, 8])
    monkeypatch.setattr(savedmodel, "next_version", lambda _: next(numbers))
    made = save(server, folder, {"card.md": "é\n", "facts.json": "{}"})
    assert made == folder / "8"
    assert (made / "card.md").read_text(encoding="utf-8") == "é\n"
    assert [path.name for path in (folder / "7").iterdir()] == ["mine"]
    monkeypatch.undo()
    assert savedmodel.next_version(folder) == 9
    assert savedmodel.next_version(tmp_path / "none") == 1
    assert {path.name for path in folder.iterdir()} == {"7", "8", "notes", "00", ".9"}


def test_an_export_that_breaks_off_leaves_no_version(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def half(obj: Any, path: str, signatures: Any) -> None:
        (Path(path) / "saved_model.pb").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tf.saved_model, "save", half)
    with pytest.raises(KeyboardInterrupt):
        save(server, tmp_path / "name", {})
    assert list((tmp_path / "name").iterdir()) == []


WRITER = """
import sys, time
from pathlib import Path
from ajl_tf.serving.draft import draft

with draft(Path(sys.argv[1])) as folder:
    (folder / "saved_model.pb").write_bytes(b"half")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_what_a_kill_left_goes_with_the_next_one_and_what_is_being_written_stays(
    server: Server, tmp_path: Path
) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        killed, running = (Path(writer.stdout.readline().strip()) for writer in writers)  # type: ignore[union-attr] # a pipe
        writers[0].kill()
        writers[0].wait()
        assert killed.is_dir()
        version = save(server, tmp_path, {})
        assert sorted(tmp_path.iterdir()) == sorted([running, version])
        assert (running / "saved_model.pb").read_bytes() == b"half"
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    save(server, tmp_path, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


@pytest.mark.parametrize("error", [errno.EOPNOTSUPP, errno.EBADF])
def test_without_locks_nothing_is_taken_for_left_behind(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(error, "no locks here")

    monkeypatch.setattr("fcntl.flock", flock)
    (tmp_path / ".unfinished-1").mkdir()
    save(server, tmp_path, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".unfinished-1", "1"]


def test_a_folder_that_another_process_clears_away_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes between its making and its locking."""
    real, made = tempfile.mkdtemp, []

    def mkdtemp(**options: Any) -> str:
        made.append(Path(real(**options)))
        if len(made) == 1:
            with monkeypatch.context() as patch:
                patch.setattr(tempfile, "mkdtemp", real)
                with draft(tmp_path):
                    pass
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with draft(tmp_path) as folder:
        assert folder == made[1]
        assert list(tmp_path.iterdir()) == [folder]
    assert not list(tmp_path.iterdir())


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(folder)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_what_is_no_savedmodel_is_said(tmp_path: Path, saved_model: Path) -> None:
    assert "has no saved_model.pb" in refusal(tmp_path / "missing")
    assert "has no saved_model.pb" in refusal(tmp_path)
    assert f"Its versions are: {saved_model}." in refusal(saved_model.parent)
    (tmp_path / "saved_model.pb").mkdir()
    assert "has no saved_model.pb" in refusal(tmp_path)


def test_a_savedmodel_of_another_kind_is_said(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "module"))
    said = refusal(tmp_path / "module")
    assert "another kind: it lacks preprocess, class_names, serving_default" in said
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).export(
        tmp_path / "keras", verbose=False
    )
    assert "another kind: it lacks preprocess, class_names." in refusal(tmp_path / "keras")


PARTS = {
    "saved_model.pb": "saved_model.pb",
    "index": "variables/variables.index",
    "data": "variables/variables.data-00000-of-00001",
}


@pytest.mark.parametrize(
    ("part", "damage"),
    [(part, damage) for part in PARTS for damage in ("half", "missing")]
    + [("saved_model.pb", "empty"), ("data", "noise")],
)
def test_a_damaged_savedmodel_is_said(
    saved_model: Path, tmp_path: Path, part: str, damage: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved_model, folder)
    path = folder / PARTS[part]
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        changed = {"empty": b"", "half": data[: len(data) // 2], "noise": data[::-1]}
        path.write_bytes(changed[damage])
    said = refusal(folder)
    assert "damaged" in said or (part, damage) == ("saved_model.pb", "missing")
    assert "\n" not in said
