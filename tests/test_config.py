"""Experiment files: what is wrong is named in one go; what is right comes back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajl_tf.config import Experiment
from ajl_tf.config_file import load_experiment, parse_experiment, to_toml
from ajl_tf.errors import UserError
from ajl_tf.models.backbones import BACKBONES

MINIMAL = """
name = "minimal"
[model]
backbone = "mobilenet_v2"
[[phases]]
name = "feature_extraction"
epochs = 3
[[phases]]
name = "fine_tuning"
epochs = 5
"""
# Each value of an experiment, and another that it may have.
OTHER = {
    "name": "other",
    "seed": 7,
    "data.canvas": 300,
    "data.fit": "contain",
    "data.memory_limit_mb": 1,
    "data.drop": "drop.csv",
    "data.drop_qc": '["3 Wrongly labelled"]',
    "split.name": "other",
    "split.scheme": "80/20",
    "split.seed": 1,
    "model.backbone": "resnet50",
    "model.views": "flips",
    "model.weights": "none",
    "model.input_size": 96,
    "model.dropout": 0.0,
    "model.stochastic_depth": 0.1,
    "model.pooling": "attention",
    "model.metadata": '{age = "number"}',
    "model.metadata_dropout": 0.5,
    "loss.name": "focal",
    "loss.label_smoothing": 0.1,
    "loss.focal_gamma": 1.0,
    "loss.hierarchy": 0.1,
    "loss.hierarchy_level": "three_partition_label",
    "loss.logit_adjustment": 0.5,
    "balance.class_weights": "inverse",
    "balance.effective_number_beta": 0.9,
    "balance.sampler": "tone",
    "balance.double_weighting": "true",
    "mitigation.group_dro": 0.01,
    "mitigation.tone_adversary": 0.5,
    "augment.horizontal_flip": "true",
    "augment.vertical_flip": "true",
    "augment.quarter_turns": "true",
    "augment.rotation": 10,
    "augment.zoom": "[0.5, 1]",
    "augment.translation": 0.1,
    "augment.brightness": 0.1,
    "augment.contrast": 0.1,
    "augment.saturation": 0.1,
    "augment.hue": 5,
    "augment.mixup": 0.2,
    "augment.cutmix": 1,
    "augment.shear": 5,
    "augment.skin_tone": 10,
    "augment.erasing": 0.2,
    "augment.operations": 2,
    "augment.rare_boost": 0.1,
    "training.batch_size": 8,
    "training.precision": "mixed_bfloat16",
    "training.xla": "true",
    "training.ema": 0.99,
    "training.keep": "last",
    "training.inner_validation": 0.2,
    "training.checkpoint_minutes": 1,
    "phases.0.name": "frozen",
    "phases.0.epochs": 4,
    "phases.0.unfreeze": 0.5,
    "phases.0.augment": "false",
    "phases.0.input_size": 96,
    "phases.0.optimizer": "sgd",
    "phases.0.learning_rate": 0.1,
    "phases.0.weight_decay": 0.1,
    "phases.0.momentum": 0.5,
    "phases.0.layer_decay": 0.5,
    "phases.0.schedule": "step",
    "phases.0.warmup_epochs": 0.5,
    "phases.0.step_epochs": 2,
    "phases.0.factor": 0.5,
    "phases.0.plateau_patience": 1,
    "phases.0.accumulate": 2,
    "phases.0.early_stopping": 3,
    "phases.0.clip_norm": 1,
}
EXPERIMENTS = sorted((Path(__file__).parents[1] / "experiments").glob("*.toml"))


@pytest.fixture(scope="module")
def minimal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiments") / "minimal.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    return path


def refusal(path: Path, *changes: str) -> str:
    with pytest.raises(UserError) as refused:
        load_experiment(path, changes)
    return str(refused.value)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_of_the_repository_loads(path: Path) -> None:
    assert load_experiment(path).name == path.stem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.batchsize=3", "training.batchsize: unknown key; did you mean 'batch_size'?"),
        ("phases.fine_tuning.epoch=3", "phases.1.epoch: unknown key; did you mean 'epochs'?"),
        ("loss.qqq=1", "loss.qqq: unknown key; known are: name, label_smoothing, focal_gamma"),
        ("sed=1", "sed: unknown key; did you mean 'seed'?"),
        ("model.backbone=resnet5", "model.backbone: no such backbone; did you mean resnet50"),
        ("model=3", "model: must be a table. Received: 3"),
        ("phases=3", "phases: must be an array. Received: 3"),
        ("phases=[]", "at least one [[phases]] table"),
        ("training.batch_size=many", "training.batch_size: Input should be a valid integer"),
        ("training.xla=1", "training.xla: Input should be a valid boolean"),
        ("seed=true", "seed: Input should be a valid integer"),
        ("seed=-1", "seed: Input should be greater than or equal to 0. Received: -1"),
        ("model.dropout=1.0", "model.dropout: Input should be less than 1"),
        ("phases.0.learning_rate=0", "phases.0.learning_rate: Input should be greater than 0"),
        ("phases.0.learning_rate=inf", "phases.0.learning_rate: Input should be a finite number"),
        ("loss.label_smoothing=nan", "loss.label_smoothing: Input should be"),
        ("phases.0.unfreeze=1.5", "phases.0.unfreeze: must be a share of the depth from 0 to 1"),
        ("phases.0.unfreeze=true", "phases.0.unfreeze: must be a share of the depth from 0 to 1"),
        ("training.keep=first", "training.keep: Input should be 'best' or 'last'"),
        ("name=a/b", "name: String should match pattern"),
        ("data.drop=''", "data.drop: String should have at least 1 character"),
        ("data.drop_qc=3 Wrongly labelled", "data.drop_qc: must be an array"),
        ("augment.zoom=[1.0, 0.5]", "zoom must be [smallest, largest]. Received: [1.0, 0.5]"),
        ("data.canvas=100", "data.canvas (100) must be at least the model's input size (224)"),
        ("phases.0.name=fine_tuning", "phases need different names"),
        ('model.metadata=["age"]', "model.metadata: must be a table. Received: ['age']"),
        ("model.metadata.age=years", "model.metadata.age: Input should be 'category' or 'number'"),
        ("model.metadata.Label=category", "model.metadata: Label: tells the answer, or only which"),
        ("model.metadata.qc=category", "known before the diagnosis, as age, sex or body site"),
        ("model.metadata.nine_partition_label=category", "model.metadata: nine_partition_label: t"),
        ("model.metadata.body site=category", "model.metadata: 'body site': a column becomes an"),
    ],
)
def test_a_wrong_key_or_value_is_named_by_its_dotted_place(
    minimal: Path, change: str, said: str
) -> None:
    message = refusal(minimal, change)
    assert said in message
    assert str(minimal) in message
    assert len(message.splitlines()) == 2  # nothing that is right is blamed


def test_all_problems_are_told_in_one_go(minimal: Path) -> None:
    message = refusal(
        minimal,
        "training.batchsize=3",
        "seed=x",
        "phases.0.epochs=0",
        "phases.1.epochs=0",
        "model.backbone=vgg",
    )
    assert len(message.splitlines()) == 6


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["phases.0.optimizer=adam", "phases.0.weight_decay=0.1"], "use optimizer = 'adamw'"),
        (["phases.0.schedule=step", "phases.0.warmup_epochs=1"], "goes with schedule = 'cosine'"),
        (["phases.0.warmup_epochs=3"], "warmup_epochs must be less than epochs (3)"),
        (["training.keep=last", "phases.0.early_stopping=2"], "(phases: feature_extraction)"),
        (["training.keep=last", "phases.1.schedule=plateau"], "(phases: fine_tuning)"),
        (
            ["model.metadata.ddi_scale=category", "mitigation.tone_adversary=0.1"],
            "the tone that model.metadata tells it (ddi_scale); choose one",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    minimal: Path, changes: list[str], said: str
) -> None:
    assert said in refusal(minimal, *changes)


@pytest.mark.parametrize("sampler", ["class", "class_tone"])
@pytest.mark.parametrize("weights", ["inverse", "effective_number"])
def test_weighing_classes_twice_must_be_meant(minimal: Path, weights: str, sampler: str) -> None:
    changes = [f"balance.class_weights={weights}", f"balance.sampler={sampler}"]
    assert "double_weighting = true" in refusal(minimal, *changes)
    meant = load_experiment(minimal, [*changes, "balance.double_weighting=true"])
    assert meant.balance.ways == 2


def test_class_weights_go_with_a_sampler_of_tones(minimal: Path) -> None:
    changes = ["balance.class_weights=inverse", "balance.sampler=tone"]
    assert load_experiment(minimal, changes).balance.ways == 1


@pytest.mark.parametrize("way", ["class_weights=inverse", "sampler=class", "sampler=class_tone"])
def test_adjusting_logits_of_balanced_classes_must_be_meant(minimal: Path, way: str) -> None:
    changes = ["loss.logit_adjustment=1.0", f"balance.{way}"]
    assert "balance.double_weighting = true" in refusal(minimal, *changes)
    load_experiment(minimal, [*changes, "balance.double_weighting=true"])
    load_experiment(minimal, ["loss.logit_adjustment=1.0", "balance.sampler=tone"])


def test_set_changes_one_value_and_takes_bare_words(minimal: Path) -> None:
    experiment = load_experiment(
        minimal,
        [
            "phases.1.epochs=9",
            "phases.feature_extraction.epochs = 2",
            "model.weights=some dir/weights.h5",
            'split.scheme="5 folds"',
            "split.name=true_names",
            "augment.zoom=[0.5, 1]",
        ],
    )
    assert [phase.epochs for phase in experiment.phases] == [2, 9]
    assert experiment.model.weights == "some dir/weights.h5"
    assert experiment.split.scheme == "5 folds"
    assert experiment.split.name == "true_names"
    assert experiment.augment.zoom == (0.5, 1.0)
    rest = load_experiment(minimal).model_dump(exclude={"phases", "model", "split", "augment"})
    assert experiment.model_dump(exclude={"phases", "model", "split", "augment"}) == rest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("seed", "--set takes table.key=value. Received: 'seed'"),
        ("=3", "--set takes table.key=value"),
        ("phases..epochs=3", "--set takes table.key=value"),
        ("name.x=3", "'name' is a value, not a table"),
        ("phases.2.epochs=3", "no phase '2'; there are: feature_extraction, fine_tuning"),
        ("phases.warmup.epochs=3", "no phase 'warmup'"),
        ("phases.epochs=3", "as in phases.0.epochs=3"),
    ],
)
def test_set_says_what_form_it_takes(minimal: Path, change: str, said: str) -> None:
    assert said in refusal(minimal, change)


def test_set_on_phases_that_are_no_tables_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('name = "odd"\nphases = [1, 2]\n[model]\nbackbone = "resnet50"\n')
    assert "no phase '0'" in refusal(path, "phases.0.epochs=3")


def test_a_missing_file_names_those_that_are_there(minimal: Path, tmp_path: Path) -> None:
    assert str(minimal) in refusal(minimal.with_name("minimum.toml"))
    assert "is a folder" in refusal(tmp_path)
    assert "no experiment file" in refusal(tmp_path / "nowhere" / "x.toml")


@pytest.mark.parametrize("content", [b"name = ", b"name = 'a'\nname = 'b'", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    assert f"{path} is not valid TOML" in refusal(path)


def leaves(table: Any, place: str = "") -> set[str]:
    if isinstance(table, dict) and table:
        return {leaf for key, value in table.items() for leaf in leaves(value, f"{place}.{key}")}
    return {place.removeprefix(".")}


def test_the_table_of_other_values_is_complete(minimal: Path) -> None:
    values = load_experiment(minimal).model_dump()
    assert leaves({**values, "phases": {"0": values["phases"][0]}}) == set(OTHER)


@pytest.mark.parametrize("place", OTHER)
def test_the_hash_differs_when_any_value_differs(minimal: Path, place: str) -> None:
    plain = load_experiment(minimal)
    changed = load_experiment(minimal, [f"{place}={OTHER[place]}"])
    assert changed.hash != plain.hash
    assert load_experiment(minimal, [f"{place}={OTHER[place]}"]).hash == changed.hash


def test_the_hash_does_not_depend_on_how_a_value_is_written(minimal: Path) -> None:
    written = ["phases.0.unfreeze=0", "training.ema=0", "seed=0", "augment.zoom=[1, 1]"]
    assert load_experiment(minimal, written).hash == load_experiment(minimal).hash


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, exclude_min=True, exclude_max=True, allow_subnormal=False)


# What TOML or JSON escapes, and what only one of them does.
TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from('\x7f\x1f\r\n"\\\u2028🙂'))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
PHASES = st.fixed_dictionaries(
    {"name": NAMES, "epochs": st.integers(1, 10**6)},
    optional={
        "unfreeze": floats(0, 1) | TEXTS | st.integers(0, 1),
        "augment": st.booleans(),
        "optimizer": st.sampled_from(["adam", "adamw", "sgd"]),
        "learning_rate": st.floats(1e-300, 1e300),
        "schedule": st.sampled_from(["constant", "cosine", "step", "plateau"]),
        "momentum": floats(0, 1),
        "clip_norm": st.floats(0, 1e10),
    },
)
TABLES = st.fixed_dictionaries(
    {
        "name": NAMES,
        "model": st.fixed_dictionaries(
            {"backbone": st.sampled_from(sorted(BACKBONES))},
            optional={
                "weights": TEXTS,
                "dropout": floats(0, 1),
                "metadata": st.dictionaries(
                    st.from_regex(r"column_[A-Za-z0-9_]{0,9}", fullmatch=True),
                    st.sampled_from(["category", "number"]),
                ),
            },
        ),
        "phases": st.lists(PHASES, min_size=1, max_size=3, unique_by=lambda phase: phase["name"]),
    },
    optional={
        "seed": st.integers(0, 2**31 - 1),
        "data": st.fixed_dictionaries(
            {"canvas": st.integers(600, 2048) | st.none()},
            optional={"drop": TEXTS.filter(bool), "drop_qc": st.lists(TEXTS, max_size=2)},
        ),
        "split": st.fixed_dictionaries({"scheme": TEXTS, "seed": st.integers()}),
        "augment": st.fixed_dictionaries(
            {}, optional={"zoom": st.tuples(floats(0, 1), floats(1, 9)), "hue": floats(0, 180)}
        ),
        "training": st.fixed_dictionaries({}, optional={"ema": floats(0, 1)}),
    },
)


@given(TABLES)
def test_a_resolved_experiment_written_and_read_is_the_same(
    minimal: Path, values: dict[str, Any]
) -> None:
    experiment = parse_experiment(values, "the test")
    path = minimal.with_name("written.toml")
    path.write_bytes(to_toml(experiment).encode())
    again = load_experiment(path)
    assert again == experiment
    assert again.hash == experiment.hash


@pytest.mark.parametrize(
    ("columns", "of_tone"),
    [
        (("age", "sex", "body_site", "milestone", "trace", "italics", "bracelet"), ()),
        (
            ("fitzpatrick_scale", "skin_tone", "ddi_scale", "FST", "race", "Ethnicity", "sex"),
            ("fitzpatrick_scale", "skin_tone", "ddi_scale", "FST", "race", "Ethnicity"),
        ),
    ],
)
def test_columns_of_tone_are_known_by_their_names(
    minimal: Path, columns: tuple[str, ...], of_tone: tuple[str, ...]
) -> None:
    changes = [f"model.metadata.{column}=category" for column in columns]
    assert load_experiment(minimal, changes).model.tone_columns == of_tone


def test_the_canvas_is_larger_than_the_input_unless_said(minimal: Path) -> None:
    def sizes(*changes: str) -> tuple[int, int]:
        experiment: Experiment = load_experiment(minimal, changes)
        return experiment.input_size, experiment.canvas

    assert sizes() == (224, 256)
    assert sizes("model.input_size=64") == (64, 73)
    assert sizes("model.input_size=64", "data.canvas=64") == (64, 64)
