"""The choice: smaller and bit for bit the same, or the dense file; whatever goes wrong."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.encodings.networks import inputs, layer
from tfgreen.encodings import Choice, choice, choose_encoding
from tfgreen.encodings.candidates import Candidate
from tfgreen.errors import KernelSetError, UnknownNameError, UsageError
from tfgreen.flatbuffer import TfliteModel, with_constants
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.runtimes import availability

MOBILE, MICRO = load_profile("mobile-int8"), load_profile("microcontroller-int8")
PRUNED = layer(zeros=0.9)
NEEDS_MICRO = pytest.mark.skipif(not availability("micro").available, reason="no tflite-micro")


def choose(
    content: bytes = PRUNED, profile: ExportProfile = MOBILE, wanted: str = "auto"
) -> Choice:
    return choose_encoding(content, profile, inputs(), wanted)


def test_a_pruned_file_becomes_sparse() -> None:
    chosen = choose()
    dense, sparse = chosen.files
    assert (dense.encoding, sparse.encoding) == ("dense", "sparse")
    assert sparse.chosen
    assert not dense.chosen
    assert sparse.size_bytes == len(chosen.content) < dense.size_bytes == len(PRUNED)
    assert sparse.gzip_bytes == len(gzip.compress(chosen.content, 9, mtime=0))
    assert sparse.bit_exact == {"xnnpack": True, "reference": True, "optimized": True}
    facts = chosen.to_facts()
    assert (facts["chosen"], facts["is_told"]) == ("sparse", True)
    notes = " ".join(chosen.notes())
    assert "No kernel becomes faster" in notes
    assert "DENSIFY" in notes


@NEEDS_MICRO
def test_a_pruned_file_becomes_short_on_microcontrollers() -> None:
    content = layer(zeros=0.8, values=7)
    chosen = choose_encoding(content, MICRO, inputs(), "decode")
    dense, packed = chosen.files
    assert packed.chosen
    assert packed.bit_exact == {"micro": True, "reference": None, "xnnpack": None}
    assert packed.arena_bytes is not None
    assert dense.arena_bytes is not None
    assert packed.arena_bytes > dense.arena_bytes
    assert f"{packed.arena_bytes:,} bytes, {dense.arena_bytes:,} dense" in " ".join(chosen.notes())


@NEEDS_MICRO
def test_ram_is_not_spent_for_less_flash() -> None:
    """One layer's weights lie in the arena whole, so that packing them saves less than it costs."""
    chosen = choose(layer(zeros=0.8, values=7), MICRO)
    assert chosen.chosen.encoding == "dense"
    assert all("more than it saves" in file.reason for file in chosen.files[1:])
    assert "densely" in chosen.notes()[0]


@NEEDS_MICRO
def test_the_budget_of_the_arena_holds() -> None:
    content = layer("dense", zeros=0.95)
    profile = MICRO.with_overrides(arena="4KB")
    chosen = choose_encoding(content, profile, inputs("dense"))
    assert chosen.chosen.encoding == "dense"
    assert any("over the budget" in file.reason for file in chosen.files)


@pytest.mark.parametrize(
    ("content", "profile", "wanted", "reason", "is_told"),
    [
        (layer(zeros=0), "mobile-int8", "auto", "neither pruned nor clustered", False),
        (PRUNED, "mobile-int8", "dense", "asked for", True),
        (PRUNED, "coral-edgetpu-int8", "auto", "loads nothing else", True),
        (layer(zeros=0), "mobile-int8", "sparse", "no packed file is smaller", True),
    ],
)
def test_the_dense_file_stays(
    content: bytes, profile: str, wanted: str, reason: str, is_told: bool
) -> None:
    chosen = choose(content, load_profile(profile), wanted)
    assert chosen.content == content
    assert reason in chosen.chosen.reason
    assert chosen.is_told == is_told
    assert bool(chosen.notes()) == is_told


def test_what_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"'spars'.*sparse"):
        choose(wanted="spars")
    with pytest.raises(UsageError, match="does not take the encoding 'lut'"):
        choose(wanted="lut")


def changed_weights(model: TfliteModel, encoding: str) -> Candidate:
    values = model.constant(1)
    return Candidate("sparse", with_constants(model, {1: np.zeros_like(values)}), {})


def damaged(model: TfliteModel, encoding: str) -> Candidate:
    return Candidate("sparse", b"TFL3" * 30, {})


def failing(error: type[Exception]) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error("no luck today")

    return fail


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (changed_weights, "does not unpack to the same values"),
        (damaged, "could not be made"),
        (failing(ValueError), "no luck today"),
        (failing(KeyError), "no luck today"),
        (failing(MemoryError), "no luck today"),
        (failing(RecursionError), "no luck today"),
    ],
)
def test_a_candidate_that_fails_never_costs_the_file(
    made: Callable[..., Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "candidate", made)
    chosen = choose()
    assert chosen.content == PRUNED
    assert reason in chosen.files[1].reason
    assert chosen.files[1].size_bytes is None


def test_kernels_that_answer_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "candidate", changed_weights)
    monkeypatch.setattr(choice, "_same", lambda *_: True)
    chosen = choose()
    assert chosen.content == PRUNED
    assert chosen.files[1].bit_exact == dict.fromkeys(MOBILE.kernel_sets.runs, False)


def test_kernels_that_refuse_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfgreen.encodings.candidates._is_refused_sparse", lambda *_: False)
    content = layer("dense", zeros=0.9)
    chosen = choose_encoding(content, MOBILE, inputs("dense"))
    assert chosen.content == content
    assert "xnnpack does not load it" in chosen.files[1].reason


def test_kernels_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "run_tasks", failing(KernelSetError))
    chosen = choose()
    assert chosen.content == PRUNED
    assert "no luck today" in chosen.chosen.reason
