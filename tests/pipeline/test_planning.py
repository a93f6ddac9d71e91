"""`--dry-run`: what it tells of the cache, and that it leaves it alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tfgreen as tg
from tests.pipeline.small import small_data
from tfgreen.pipeline.planning import Plan, plan
from tfgreen.reporting.plan_text import plan_text

DATA = small_data()
RECIPE = tg.Recipe(
    [
        tg.Stage([tg.Pruning(sparsity=0.5)], epochs=3, batch_size=16),
        tg.Stage([tg.Clustering(clusters=4)], epochs=3),
    ]
)


pytestmark = pytest.mark.usefixtures("made_up_exports")


@pytest.fixture
def model(models: tuple[Any, Any]) -> Any:
    return models[0]


@pytest.fixture
def kept(model: Any, tmp_path: Path) -> Path:
    """A cache with the first stage, all exports, and two of three epochs of the second stage."""

    def stop(step: str, done: int, of: int) -> None:
        if step.startswith("cluster: epoch 2"):
            raise KeyboardInterrupt

    cache = tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        tg.compress(model, RECIPE, DATA, cache=cache, on_progress=stop)
    return cache


def planned(model: Any, cache: Path) -> Plan:
    return plan(model, RECIPE, DATA, cache=cache)


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_plan_writes_and_deletes_nothing(model: Any, kept: Path) -> None:
    (stage,) = kept.glob("*/model.keras")
    stage.write_bytes(b"damaged")
    for manifest in kept.glob("*/bundle/manifest.json"):
        manifest.write_text("{}")
    left_over = kept / f".{stage.parent.name}.0badcafe.partial"
    left_over.mkdir()
    (left_over / "0").write_bytes(b"half")
    before = everything(kept)
    found = planned(model, kept)
    assert everything(kept) == before
    assert [step.is_damaged for step in found.steps] == [True, True, False, False, False]
    assert [step.is_done for step in found.steps] == [False, False, None, None, None]
    assert all("is damaged and is made again" in note for note in found.notes)
    assert len(found.notes) == 2
    text = plan_text(found)
    assert text.count("to do again, since its kept result is damaged, about") == 2
    assert "model.keras is not the file that was kept" in text
    again = tg.compress(model, RECIPE, DATA, cache=kept)
    assert not any(step.reused for step in again.steps[:2])
    assert not left_over.exists()


def test_a_plan_makes_no_folder(model: Any, tmp_path: Path) -> None:
    planned(model, tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_a_plan_counts_the_epochs_that_are_left(model: Any, kept: Path) -> None:
    found = planned(model, kept)
    assert (found.steps[3].epochs, found.steps[3].epochs_done) == (3, 2)
    assert "2 of 3 epochs done before" in plan_text(found)
    pace = json.loads(next(kept.glob("*/pace.json")).read_text())
    assert found.steps[3].seconds == pytest.approx(15 + len(DATA[0]) * pace["sample"])
