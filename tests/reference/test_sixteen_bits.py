"""LOGISTIC, TANH and SOFTMAX on int16, over every value there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.reference.single_op import Case, TensorSpec, build, outcomes_on
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.reference import Interpreter, Rounding
from tfgreen.runtimes import availability

EVERY_VALUE = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
SCALES = (2.0**-13, 2.0**-12, 2.0**-11, 0.0003, 0.001)
ORACLES: tuple[Rounding, ...] = (
    ("reference", "micro") if availability("micro").available else ("reference",)
)


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("name", ["LOGISTIC", "TANH", "SOFTMAX"])
def test_every_value(name: str, oracle: Rounding) -> None:
    options: Any = load_schema().SoftmaxOptionsT(beta=1.0) if name == "SOFTMAX" else None
    shape = (4096, 16) if name == "SOFTMAX" else (65536,)
    cases = []
    for scale in SCALES:
        specs = [TensorSpec(shape, "int16", s) for s in (scale, 2.0**-15)]
        content = build(name, specs[:1], specs[1:], options)
        cases.append(Case(content, (EVERY_VALUE.reshape(1, *shape),), f"{name} {scale}"))
    for one, outcome in zip(cases, outcomes_on(oracle, cases), strict=True):
        assert outcome.status == "ok", outcome.message
        (mine,) = Interpreter(one.content, oracle).run(one.inputs)
        np.testing.assert_array_equal(mine, outcome.outputs[0], err_msg=one.told)
