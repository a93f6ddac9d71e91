"""From a float file and calibration runs to the file that a profile asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests import tiny_models
from tests.conftest import TrainedModel
from tests.float_files import float_file
from tests.tflite import small_networks
from tests.tflite.calibrator import calibrator_ranges
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import ConversionError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.tflite import quantization
from tfgreen.tflite.quantization import Quantized, quantize
from tfgreen.tflite.quantizers import AiEdgeQuantizer, TensorflowQuantizer
from tfgreen.tflite.ranges import minmax_ranges
from tfgreen.tflite.selection import Judge
from tfgreen.tflite.statistics import collect_statistics

FLOAT = small_networks.two_convolutions_added()
RUNS = small_networks.runs()


def profile(name: str, **overrides: Any) -> ExportProfile:
    return load_profile(name).with_overrides(**overrides)


@cache
def quantized(name: str = "mobile-int8", io: str | None = None) -> Quantized:
    return quantize(FLOAT, [RUNS], profile(name, io=io), lambda *step: None)


def boundary(content: bytes) -> tuple[str, ...]:
    model = TfliteModel.from_bytes(content)
    return tuple(model.tensors[i].dtype for i in (*model.inputs, *model.outputs))


def test_int8_races_both_engines_and_all_ranges_and_then_the_rounding() -> None:
    candidates = quantized().candidates
    assert {c.quantizer for c in candidates} == {"tensorflow", "ai-edge-quantizer"}
    assert {"minmax", "percentile-99.999", "least-square-error"} <= {c.ranges for c in candidates}
    assert [c.rounding for c in candidates] == ["nearest"] * (len(candidates) - 1) + ["compensated"]
    best_nearest = max(candidates[:-1], key=lambda c: c.sqnr_db)
    assert candidates[-1].ranges == best_nearest.ranges
    assert all(c.fault is None for c in candidates)


def test_the_best_score_wins() -> None:
    made = quantized()
    assert made.winner.sqnr_db == max(c.sqnr_db for c in made.candidates)
    facts = made.to_facts()
    assert facts["route"] == {
        "quantizer": made.winner.quantizer,
        "ranges": made.winner.ranges,
        "rounding": made.winner.rounding,
    }
    assert len(facts["candidates"]) == len(made.candidates) and facts["range_findings"] == []


@pytest.mark.parametrize(
    ("name", "io", "dtypes"),
    [
        ("mobile-int8", None, ("int8", "int8")),
        ("mobile-int8", "uint8", ("uint8", "uint8")),
        ("mobile-int8", "float32", ("float32", "float32")),
        ("mobile-int8", "uint8:float32", ("uint8", "float32")),
        ("microcontroller-int16x8", None, ("int16", "int16")),
        ("microcontroller-int16x8", "float32", ("float32", "float32")),
        ("mobile-float16", None, ("float32", "float32")),
        ("mobile-dynamic-int8", None, ("float32", "float32")),
        ("mobile-weights-int4", None, ("float32", "float32")),
    ],
)
def test_the_boundary_is_the_profile_s(name: str, io: str | None, dtypes: tuple) -> None:
    assert boundary(quantized(name, io).content) == dtypes


def test_the_inside_does_not_depend_on_the_boundary() -> None:
    inside, outside = (TfliteModel.from_bytes(quantized(io=io).content) for io in (None, "float32"))
    assert [op.name for op in outside.ops] == [
        "QUANTIZE",
        *(o.name for o in inside.ops),
        "DEQUANTIZE",
    ]
    for tensor in inside.tensors:
        if tensor.is_constant:
            same = outside.constant(outside.tensor_index(tensor.name))
            np.testing.assert_array_equal(inside.constant(tensor.index), same)


def test_16_bits_race_both_engines() -> None:
    made = quantized("microcontroller-int16x8")
    assert [(c.quantizer, c.ranges) for c in made.candidates[:2]] == [
        ("ai-edge-quantizer", "minmax"),
        ("tensorflow", "own calibrator"),
    ]
    assert made.winner.sqnr_db > quantized().winner.sqnr_db + 4, "activations cost nothing any more"


@pytest.mark.parametrize("name", ["mobile-float16", "mobile-dynamic-int8", "mobile-weights-int4"])
def test_schemes_without_ranges_need_no_runs(name: str) -> None:
    alone = quantize(FLOAT, None, profile(name), lambda *step: None)
    assert alone.content == quantized(name).content
    assert alone.winner.ranges == "none needed" and alone.range_findings == ()


def test_the_same_runs_give_the_same_bytes() -> None:
    again = quantize(FLOAT, [RUNS.copy()], profile("mobile-int8"), lambda *step: None)
    assert again.content == quantized().content


def test_other_runs_give_other_ranges() -> None:
    other = quantize(FLOAT, [RUNS * 3], profile("mobile-int8"), lambda *step: None)
    wide, narrow = (TfliteModel.from_bytes(made.content) for made in (other, quantized()))
    scales = [float(m.tensors[m.inputs[0]].quantization.scales[0]) for m in (wide, narrow)]
    assert 2 < scales[0] / scales[1] < 4


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    quantize(FLOAT, [RUNS], profile("mobile-int8"), lambda *step: told.append(step))
    assert ("activation ranges", len(RUNS), len(RUNS)) in told
    assert told[-1] == ("choosing ranges and rounding", len(quantized().candidates), 0)


def test_an_engine_that_refuses_leaves_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> bytes:
        raise RuntimeError("no such op")

    monkeypatch.setattr(quantization.TensorflowQuantizer, "quantize", refuse)
    made = quantize(FLOAT, [RUNS], profile("mobile-int8"), lambda *step: None)
    assert made.winner.quantizer == "ai-edge-quantizer"
    assert {c.fault for c in made.candidates if c.quantizer == "tensorflow"} == {
        "refused: no such op"
    }
    monkeypatch.setattr(quantization.AiEdgeQuantizer, "quantize", refuse)
    with pytest.raises(ConversionError, match="No engine could quantize the model") as caught:
        quantize(FLOAT, [RUNS], profile("mobile-int8"), lambda *step: None)
    assert str(caught.value).count("tensorflow: refused: no such op") == 1  # of several rounds


def test_ops_that_stay_in_float_are_a_fault_of_every_candidate() -> None:
    """COS has no int8 kernel: the best file is kept, and the structure gate will fail it."""
    specs = [TensorSpec(name, (1, 4), "float32") for name in ("x", "y")]
    content = tiny_models.build(specs, [OpSpec("COS", ["x"], ["y"])], ["x"], ["y"])
    runs = small_networks.runs(10, (1, 4))
    made = quantize(content, [runs], profile("mobile-int8"), lambda *step: None)
    assert made.winner.fault == "leaves COS in float"
    assert "COS" in [op.name for op in TfliteModel.from_bytes(made.content).ops]


def test_a_residual_network_s_ranges_are_the_true_ones_within_what_is_chosen_on_purpose() -> None:
    """No finding: nothing in the winner's file is a quarter wider than what was seen."""
    assert quantized().range_findings == ()


@pytest.mark.parametrize(
    "name",
    [
        "keyword",
        "residual",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("autoencoder", "conv1d", "two-branch")),
    ],
)
def test_on_held_back_samples_neither_engine_alone_is_better(
    name: str,
    trained_model: Callable[[str], TrainedModel],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The bare converter with its own calibrator, and AI Edge Quantizer with true extremes."""
    source = float_file(trained_model(name), tmp_path_factory)
    content = source.content
    names = TfliteModel.from_bytes(content).input_names
    runs = [source.calibration[n][:, None] for n in names]
    held_back = [source.evaluation[n][:, None] for n in names]
    judge = Judge(content, held_back)

    def sqnr_db(quantized_content: bytes) -> float:
        model = TfliteModel.from_bytes(quantized_content)
        return judge.sqnr_db([(model, range(len(held_back[0])))])

    extremes = minmax_ranges(collect_statistics(content, runs))
    bare = TensorflowQuantizer(content, [array[0] for array in runs])
    made = quantize(content, runs, profile("mobile-int8"), lambda *step: None)
    rivals = {
        "converter": sqnr_db(bare.quantize(calibrator_ranges(content, runs))),
        "ai-edge-quantizer": sqnr_db(AiEdgeQuantizer(content, "int8").quantize(extremes)),
    }
    assert sqnr_db(made.content) >= max(rivals.values()) - 0.2, (made.winner, rivals)
