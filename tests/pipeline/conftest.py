"""A small model, a teacher for it, and runs of recipes whose exports are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tfgreen as tg
from tests.pipeline.small import made_up_bundle, small_data, small_model
from tfgreen.pipeline.compressing import Compression

X, Y = small_data()
Run = Callable[..., Compression]


@pytest.fixture
def made_up_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is exported: that takes seconds, and is tested elsewhere."""
    monkeypatch.setattr("tfgreen.pipeline.run.make_bundle", made_up_bundle)


@pytest.fixture(scope="package")
def models() -> tuple[Any, Any]:
    """The model, and its teacher."""
    return small_model(), small_model(seed=2)


@pytest.fixture
def run(made_up_exports: None, models: tuple[Any, Any], tmp_path: Path) -> Run:
    """`tg.compress` of the model, with a cache of its own."""

    def compressed(recipe: Any, train: Any = (X, Y), **options: Any) -> Compression:
        teachers = {"large": models[1]} if tg.load_recipe(recipe).teachers else {}
        chosen = {"cache": tmp_path / "cache", "teachers": teachers, **options}
        return tg.compress(models[0], recipe, train, **chosen)

    return compressed
