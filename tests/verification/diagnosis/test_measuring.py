"""Pairs and figures, against LiteRT's own kernels and arithmetic by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.verification.diagnosis import planting
from tests.verification.diagnosis.conftest import Patient
from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.flatbuffer import TfliteModel, cut_op
from tfgreen.runtimes import Task, dequantize, quantize_inputs, run_tasks
from tfgreen.verification.diagnosis.ideal import best_range, ideal_sqnr_db
from tfgreen.verification.diagnosis.measuring import Comparison, layer_errors
from tfgreen.verification.diagnosis.pairing import pair
from tfgreen.verification.diagnosis.sensitivity import bit_sensitivities

Patients = Callable[[str], Patient]


@pytest.mark.parametrize("kind", ["keyword", "residual", "attention"])
def test_pairs_do_not_need_names(patient: Patients, kind: str) -> None:
    one = patient(kind)
    real, model = (TfliteModel.from_bytes(c) for c in (one.float_content, one.content))
    nameless = TfliteModel.from_bytes(planting.with_renamed_tensors(one.content))
    named, aligned = (
        {(p.file_index, p.float_index) for p in pair(real, m)} for m in (model, nameless)
    )
    assert named == aligned
    assert len(named) == len(model.ops) + 1


def test_another_input_is_no_pair(patient: Patients) -> None:
    with pytest.raises(UnsupportedModelError, match="the model that the file was made from"):
        pair(
            TfliteModel.from_bytes(patient("keyword").float_content),
            TfliteModel.from_bytes(patient("residual").content),
        )


def test_own_and_inherited_error_against_litert(patient: Patients) -> None:
    """The first two ops, cut out and run by LiteRT's reference kernels."""
    one = patient("residual")
    model, real = (TfliteModel.from_bytes(c) for c in (one.content, one.float_content))
    samples = one.samples.head(4)
    layers = {e.op_index: e for e in layer_errors(one.float_content, one.content, samples)}
    whole_float = run_tasks(
        "optimized", [Task("f", real.content, quantize_inputs(real, samples), capture="all")]
    )[0].tensors
    names = {t.name: t.index for t in real.tensors}
    first, second = (model.tensors[model.ops[i].outputs[0]] for i in (0, 1))
    given = whole_float[names[first.name]]
    assert first.quantization is not None
    codes = np.round(given / first.quantization.scales[0]) + first.quantization.zero_points[0]
    rounded = np.clip(codes, -128, 127).astype(np.int8)
    outcome = run_tasks("reference", [Task("op", cut_op(model, 1), (rounded,))])[0]
    truth = whole_float[names[second.name]]
    error = dequantize(outcome.outputs[0], second.quantization) - truth
    expected_db = 10 * np.log10((truth**2).sum() / (error**2).sum())
    assert layers[1].own_sqnr_db == pytest.approx(expected_db, abs=0.02)
    whole = run_tasks(
        "reference", [Task("w", one.content, quantize_inputs(model, samples), capture="all")]
    )[0].tensors
    error = dequantize(whole[second.index], second.quantization) - truth
    expected_db = 10 * np.log10((truth**2).sum() / (error**2).sum())
    assert layers[1].inherited_sqnr_db == pytest.approx(expected_db, abs=0.02)
    assert min(e.share_of_final_error for e in layers.values()) >= 0


def test_the_ideal_by_hand() -> None:
    """Uniform values over 255 steps: noise of step ** 2 / 12."""
    values = np.random.default_rng(0).uniform(-1, 1, 50_000)
    step = 2 / 255
    assert ideal_sqnr_db(values) == pytest.approx(10 * np.log10((1 / 3) / (step**2 / 12)), abs=0.1)
    low, high = best_range(np.concatenate([values, [50.0]]))
    assert low == pytest.approx(-1, abs=0.2)
    assert high == pytest.approx(50.0) or high < 50  # an outlier may be clipped, never missed


def test_fewer_bits_lose_more(patient: Patients) -> None:
    one = patient("keyword")
    comparison = Comparison(one.float_content, one.content, one.samples.head(16))
    rows = {bits: bit_sensitivities(comparison, bits) for bits in (3, 4, 8)}
    assert [row.op_index for row in rows[4]] == [
        op.index for op in comparison.model.ops if op.name in planting.CHANNEL_AXES
    ]
    for few, some, many in zip(rows[3], rows[4], rows[8], strict=True):
        assert few.narrow_sqnr_db is not None
        assert some.narrow_sqnr_db is not None
        assert many.narrow_sqnr_db is not None
        assert many.narrow_sqnr_db > some.narrow_sqnr_db + 10 > few.narrow_sqnr_db
        assert many.narrow_agreement == 1.0
    with pytest.raises(UsageError, match="expected 2 to 8"):
        bit_sensitivities(comparison, 9)
