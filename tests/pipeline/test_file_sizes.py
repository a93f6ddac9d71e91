"""Sizes told before there is a file, held against files that were made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tfgreen as tg
from tests.conftest import TrainedModel
from tfgreen.demonstration.keyword_spotter import build_keyword_spotter
from tfgreen.inspection import LayerFacts, ModelInspection, inspect
from tfgreen.pipeline.file_sizes import dense_file_bytes, packed_savings_bytes

ROOT = Path(__file__).parents[2]

EXPORTED = [
    ("keyword", "mobile-int8", 18_000),
    ("keyword", "mobile-dynamic-int8", 14_368),
    ("keyword", "mobile-weights-int4", 12_000),
    ("keyword", "mobile-float16", 18_240),
    ("keyword", "microcontroller-int16x8", 18_800),
    ("residual", "mobile-int8", 95_040),
    ("residual", "mobile-dynamic-int8", 89_744),
    ("residual", "mobile-weights-int4", 51_072),
    ("residual", "mobile-float16", 163_984),
    ("residual", "microcontroller-int16x8", 99_760),
    ("autoencoder", "mobile-int8", 96_800),
    ("attention", "mobile-int8", 59_504),
    ("attention", "mobile-float16", 63_776),
    ("conv1d", "mobile-int8", 8_496),
    ("two-branch", "mobile-int8", 22_352),
]
"""Models of tests/trained_models.py, and the bytes of the files that `tfgreen.export` makes."""

MOBILE, MICROCONTROLLER = "mobile-int8", "microcontroller-int8"
COMPRESSED = [
    ("ptq", MOBILE, (45_664,)),
    ("qat", MOBILE, (45_664, 44_576)),
    ("prune-80-ptq", MOBILE, (45_664, 39_888)),
    ("pqat", MOBILE, (45_664, 45_664, 44_576)),
    ("pcqat", MOBILE, (45_664, 45_664, 45_488, 44_576)),
    ("distill-qat", MOBILE, (45_664, 45_664, 44_576)),
    ("prune-80-ptq", MICROCONTROLLER, (45_664, 33_088)),
    ("pqat", MICROCONTROLLER, (45_664, 37_232, 36_144)),
    ("pcqat", MICROCONTROLLER, (45_664, 37_232, 35_584, 32_192)),
]
"""Ready recipes on the keyword spotter: bytes as it came and after each stage, with one or two
epochs a stage."""


@pytest.fixture(scope="module")
def spotter() -> ModelInspection:
    found = inspect(build_keyword_spotter())
    assert isinstance(found, ModelInspection)
    return found


@pytest.mark.parametrize(("name", "profile", "size_bytes"), EXPORTED)
def test_files_of_small_models_are_within_the_bounds(
    trained_model: Callable[[str], TrainedModel], name: str, profile: str, size_bytes: int
) -> None:
    found = inspect(trained_model(name).path)
    assert isinstance(found, ModelInspection)
    low, high = dense_file_bytes(found.layers, tg.load_profile(profile))
    assert low <= size_bytes <= high
    assert high - low <= 0.7 * size_bytes


@pytest.mark.parametrize(
    ("kernels", "sizes_bytes"),
    [
        ([(8, 16), (16, 3)], [1_936]),
        ([(8, 1)], [1_232]),
        ([(8, 8), (4, 8), (16, 3), (16, 1)], [2_896, 3_664]),  # as it came, and pruned
    ],
)
def test_files_of_some_dense_layers_are_within_the_bounds(
    kernels: list[tuple[int, int]], sizes_bytes: list[int]
) -> None:
    layers = [
        LayerFacts(name=f"{shape}", class_name="Dense", weights=(shape, shape[1:]))
        for shape in kernels
    ]
    low, high = dense_file_bytes(layers, tg.load_profile(MOBILE))
    assert low <= min(sizes_bytes) <= max(sizes_bytes) <= high


def test_files_of_the_keyword_spotter_are_within_narrow_bounds(spotter: ModelInspection) -> None:
    rows = json.loads((ROOT / "benchmarks" / "records" / "widths.json").read_text())["rows"]
    judged: dict[str, Any] = {row["profile"]: row["file_bytes"] for row in rows if row["profile"]}
    assert len(judged) == 5
    for profile, size_bytes in judged.items():
        low, high = dense_file_bytes(spotter.layers, tg.load_profile(profile))
        assert 0.88 * size_bytes <= low <= size_bytes <= high <= 1.2 * size_bytes


@pytest.mark.parametrize(("name", "profile", "sizes_bytes"), COMPRESSED)
def test_files_of_the_ready_recipes_are_within_the_bounds(
    spotter: ModelInspection, name: str, profile: str, sizes_bytes: tuple[int, ...]
) -> None:
    stages, rules = tg.load_recipe(name).stages, tg.load_profile(profile)
    assert len(sizes_bytes) == len(stages) + 1
    low, high = dense_file_bytes(spotter.layers, rules)
    for number, size_bytes in enumerate(sizes_bytes):
        saved = packed_savings_bytes(spotter.layers, stages[:number], rules)
        assert low - saved <= size_bytes <= high


def test_what_packing_can_save_is_arithmetic(spotter: ModelInspection) -> None:
    kernels = 10 * 4 * 64 + 4 * (3 * 3 * 64 + 64 * 64) + 64 * 12

    def saved(profile: str, *techniques: Any) -> int:
        stages = [tg.Stage([one]) for one in techniques]
        return packed_savings_bytes(spotter.layers, stages, tg.load_profile(profile))

    pruned, clustered = tg.Pruning(sparsity=0.75), tg.Clustering(clusters=16)
    assert saved(MOBILE, pruned) == kernels * (8 - 16 / 4) / 8
    assert saved(MOBILE, clustered) == 0
    assert saved(MICROCONTROLLER, pruned) == kernels * (8 - (8 / 4 + 1)) / 8
    assert saved(MICROCONTROLLER, clustered) == kernels * (8 - 4) / 8
    assert saved(MICROCONTROLLER, pruned, clustered) == kernels * (8 - (4 / 4 + 1)) / 8
    assert saved(MICROCONTROLLER, tg.Pruning(pattern="2:4")) == kernels * (8 - (8 / 2 + 1)) / 8
    assert saved(MICROCONTROLLER, tg.QuantizationAwareTraining()) == 0
    assert saved("mobile-dynamic-int8", pruned, clustered) == 0
