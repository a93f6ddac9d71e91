"""Recipes: exact round trips, refusals that tell the closest, and the schema of editors."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfgreen as tg
from tfgreen.recipe.kinds import fits
from tfgreen.recipe.options import STAGE, TECHNIQUES
from tfgreen.recipe.plain_techniques import CLASSES
from tfgreen.recipe.schema import SCHEMA_PATH, recipe_schema, schema_text

EVERYTHING = tg.Recipe(
    [
        tg.Stage(
            [
                tg.Pruning(
                    sparsity={"conv_1": 0.5, re.compile("block_.*"): 0.25, 'a "b"\\': 0.75},
                    schedule="one-cycle",
                    begin=0.1,
                    end=0.5,
                    training_steps=100,
                    frequency=3,
                    skip=("head", "Dense"),
                ),
                tg.Distillation(
                    teacher=["large", tg.MovingAverage(0.99)],
                    alpha=(0.9, 0.1),
                    temperature=4,
                    teacher_weights=(1.0, 3.0),
                    features={"mine": "theirs"},
                    kind="categorical",
                    cache=Path("answers"),
                ),
            ],
            epochs=4,
            name="first (of 3)",
            batch_size=16,
            optimizer="sgd",
            learning_rate=1,
            learning_rate_schedule="cosine",
            loss="mse",
        ),
        tg.Stage([tg.Clustering(clusters={"Dense": 8}, init="density", preserve_sparsity=True)]),
        tg.Stage(
            [
                tg.QuantizationAwareTraining(
                    activation_bits=16,
                    weight_bits={"Dense": 4},
                    only=("Dense",),
                    preserve_clusters=True,
                    weight_steps="layer",
                    freeze_batch_norm_after=None,
                    calibrate=False,
                )
            ],
            epochs=2,
        ),
    ],
    name="everything",
    summary='All "options" \\ ünd é\n\x7f',
)


def test_round_trip_of_everything() -> None:
    again = tg.Recipe.from_toml(EVERYTHING.to_toml())
    assert again == EVERYTHING
    assert again.to_toml() == EVERYTHING.to_toml()
    assert EVERYTHING.teachers == ("large",)


@pytest.mark.parametrize("name", tg.list_recipes())
def test_ready_recipes(name: str) -> None:
    recipe = tg.load_recipe(name)
    assert (recipe.name, bool(recipe.summary)) == (name, True)
    assert tg.Recipe.from_toml(recipe.to_toml()) == recipe


def test_the_ready_recipes_are_those_that_are_promised() -> None:
    assert set(tg.list_recipes()) == {
        "ptq", "qat", "prune-80-ptq", "pqat", "pcqat", "distill-qat",
    }  # fmt: skip


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: not name.startswith("re:")
)
SHARES = st.floats(0, 1, exclude_max=True)


@given(st.dictionaries(NAMES, SHARES, min_size=1, max_size=4), st.lists(NAMES, max_size=3))
def test_any_name_and_share_survives(shares: dict[str, float], skip: list[str]) -> None:
    recipe = tg.Recipe([tg.Stage([tg.Pruning(sparsity=shares, skip=tuple(skip))])])
    assert tg.Recipe.from_toml(recipe.to_toml()) == recipe


def test_the_table_of_options_is_that_of_the_techniques() -> None:
    for name, options in TECHNIQUES.items():
        assert list(options) == [field.name for field in dataclasses.fields(CLASSES[name])]
    fields = {field.name for field in dataclasses.fields(tg.Stage)}
    assert set(STAGE) == fields - {"techniques"}


def test_the_shipped_schema_is_current() -> None:
    assert SCHEMA_PATH.read_text(encoding="utf-8") == schema_text()


def test_the_schema_takes_what_the_reader_takes() -> None:
    for recipe in (EVERYTHING, *map(tg.load_recipe, tg.list_recipes())):
        assert fits(tomllib.loads(recipe.to_toml()), recipe_schema()), recipe.name
    stage = {"name": "s", "epochs": 1, "pruning": {"sparsty": 0.5}}
    assert not fits({"stages": [stage]}, recipe_schema())
    assert not fits({"stages": [{"epochs": 0}]}, recipe_schema())


REFUSED = {
    "key of a technique": ("[[stages]]\n[stages.pruning]\nsparsty = 0.5", "'sparsity'"),
    "key of a stage": ("[[stages]]\nepoch = 3", "Did you mean 'epochs'"),
    "technique": ("[[stages]]\n[stages.prunning]", "Did you mean 'pruning'"),
    "key of the recipe": ("nam = 'x'\nstages = []", "Did you mean 'name'"),
    "value": ("[[stages]]\n[stages.pruning]\nsparsity=.5\nscope='globl'".replace("=.5", "=0.5"),
              "Did you mean 'global'"),
    "schedule": ("[[stages]]\nlearning_rate_schedule = 'cosin'", "Did you mean 'cosine'"),
    "optimizer": ("[[stages]]\noptimizer = 'adamm'", "Did you mean 'adam'"),
    "number": ("[[stages]]\nepochs = 0", "expected a whole number from 1 on"),
    "kind": ("[[stages]]\npruning = 3", "expected a table"),
    "share": ("[[stages]]\n[stages.pruning]\nsparsity = 1.5", "stage 1.pruning"),
    "teacher": ("[[stages]]\n[stages.distillation]\nalpha = 0.5", "teacher"),
    "two at once": ("[[stages]]\n[stages.pruning]\nsparsity=0.5\n[stages.clustering]", "its own"),
    "no stages": ("name = 'x'", "no list of stages"),
    "no TOML": ("stages = [", "no TOML file"),
    "training after quantization": (
        "[[stages]]\n[stages.quantization_aware_training]\n[[stages]]", "last stage"),
    "date": ("[[stages]]\n[stages.pruning]\nsparsity = 2026-01-01", "expected numbers"),
    "flag": ("[[stages]]\n[stages.clustering]\npreserve_sparsity = 'no'", "true or false"),
    "number for a teacher": ("[[stages]]\n[stages.distillation]\nteacher = nan", "teacher"),
    "table for a folder": ("[[stages]]\n[stages.distillation]\nteacher='t'\ncache={}", "a text"),
    "too large": (f"[[stages]]\n[stages.pruning]\nsparsity = 1{'0' * 400}", "stage 1.pruning"),
    "too large a rate": (f"[[stages]]\nlearning_rate = 1{'0' * 400}", "stage 1"),
    "years": ("[[stages]]\nepochs = 1_000_000_000", "100,000 at most"),
    "list for a schedule": ("[[stages]]\nlearning_rate_schedule = []", "one of constant, cosine"),
    "number for a name": ("[[stages]]\nname = 0", "expected a text"),
    "number for a summary": ("summary = 1\nstages = []", "expected a text"),
    "average": (
        "[[stages]]\n[stages.distillation]\nteacher = {moving_average = 2}", "stage 1.distill"),
    "two of one name": ("[[stages]]\n[[stages]]", "2 stages called 'train'"),
    "name": ("name = '../up'\nstages = []".replace("../", ":"), "letters, digits"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_recipe_is_refused(case: str) -> None:
    text, told = REFUSED[case]
    with pytest.raises((tg.InvalidRecipeError, tg.UnknownNameError), match=re.escape(told)):
        tg.Recipe.from_toml(text)


def test_what_no_file_can_hold_is_refused() -> None:
    with pytest.raises(tg.UsageError, match="given to tg.compress"):
        tg.Stage([tg.Distillation(teacher=object())])
    with pytest.raises(tg.UsageError, match="no recipe file can hold"):
        tg.Stage([tg.Distillation(teacher="t", alpha=lambda share: share)])
    with pytest.raises(tg.UsageError, match="expected one of Pruning"):
        tg.Stage(["pruning"])
    with pytest.raises(tg.UsageError, match="expected stages"):
        tg.Recipe([tg.Pruning(sparsity=0.5)])
    with pytest.raises(tg.UsageError, match="comes last"):
        tg.Stage([tg.Distillation(teacher="t"), tg.Pruning(sparsity=0.5)])


def test_classes_become_the_names_that_select_the_same_layers() -> None:
    import keras

    stage = tg.Stage([tg.Pruning(sparsity={keras.layers.Dense: 0.5})])
    assert dict(stage.techniques[0].sparsity) == {"Dense": 0.5}


def test_reading_by_name_and_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("stages = []\n", encoding="utf-8")
    assert tg.load_recipe(str(path)).name == "mine"
    recipe = tg.load_recipe(path)
    assert tg.load_recipe(recipe) is recipe
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'pqat'"):
        tg.load_recipe("pqatt")
    with pytest.raises(tg.MissingPathError, match="no recipe file"):
        tg.load_recipe("missing.toml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(tg.InvalidRecipeError, match="cannot be read"):
        tg.load_recipe(path)


def test_the_verb(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from click.testing import CliRunner

    from tfgreen.cli.recipes import recipes

    run = CliRunner().invoke
    listed = run(recipes, [])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()] == list(tg.list_recipes())
    path = tmp_path / "mine.toml"
    path.write_text(run(recipes, ["pqat"]).output, encoding="utf-8")
    assert tg.load_recipe(path) == tg.load_recipe("pqat")
    document = json.loads(run(recipes, ["pqat", "--json"]).output)
    assert [stage["name"] for stage in document["stages"]] == ["prune", "qat"]
    assert len(json.loads(run(recipes, ["--json"]).output)) == len(tg.list_recipes())
    assert run(recipes, ["pqatt"]).exit_code == 2
