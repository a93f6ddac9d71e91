"""The examples of the pages on recipes and on compressing run as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tfgreen as tg
from tests.pipeline.small import made_up_bundle, small_data, small_model
from tfgreen.recipe.options import STAGE, TECHNIQUES

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def test_recipes() -> None:
    (toml,), (python,) = blocks("recipes.md", "toml"), blocks("recipes.md", "python")
    recipe = tg.Recipe.from_toml(toml)
    assert [stage.name for stage in recipe.stages] == ["prune", "qat"]
    exec(compile(python, "recipes.md", "exec"), {})
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for name in (*tg.list_recipes(), *STAGE, *TECHNIQUES):
        assert f"`{name}`" in text


def test_compress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfgreen.pipeline.run.make_bundle", made_up_bundle)
    monkeypatch.chdir(tmp_path)
    (python,) = blocks("compress.md", "python")
    names: dict[str, Any] = {"model": small_model()}
    names["x_train"], names["y_train"] = small_data()
    names["x_test"], names["y_test"] = small_data(30, seed=1)
    exec(compile(python, "compress.md", "exec"), names)
    assert (tmp_path / "build" / "kws" / "compression.json").is_file()
    assert names["smaller"].count_params() == names["model"].count_params()
