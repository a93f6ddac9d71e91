"""Every family of single-op cases, by name, and how to draw many at once."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.reference import cases, shape_cases
from tests.reference.single_op import Case

CONVOLUTIONS: Mapping[str, st.SearchStrategy[Case]] = {
    "CONV_2D": cases.convolutions(),
    "CONV_2D int16": cases.convolutions(wide=True),
    "DEPTHWISE_CONV_2D": cases.convolutions(depthwise=True),
    "DEPTHWISE_CONV_2D int16": cases.convolutions(depthwise=True, wide=True),
    "TRANSPOSE_CONV": cases.transposed_convolutions(),
    "TRANSPOSE_CONV int16": cases.transposed_convolutions(wide=True),
    "FULLY_CONNECTED": cases.fully_connected(),
    "FULLY_CONNECTED int16": cases.fully_connected(wide=True),
}
_BINARIES = ("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE", "MINIMUM", "MAXIMUM")
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")
_UNARIES = (
    "SOFTMAX", "LOGISTIC", "TANH", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU",
    "HARD_SWISH", "ELU", "GELU", "ABS", "NEG", "RSQRT", "EXP", "LOG",
)  # fmt: skip
OTHERS: Mapping[str, st.SearchStrategy[Case]] = {
    **{name: cases.binaries(name) for name in _BINARIES},
    **{f"{name} int16": cases.binaries(name, wide=True) for name in _BINARIES},
    **{name: cases.pools(name) for name in _POOLS},
    **{f"{name} int16": cases.pools(name, wide=True) for name in _POOLS},
    **{name: cases.reductions(name) for name in _REDUCTIONS},
    **{f"{name} int16": cases.reductions(name, wide=True) for name in _REDUCTIONS},
    **{name: cases.unaries(name) for name in _UNARIES},
    "BATCH_MATMUL": cases.matrix_products(),
    "RESIZE_BILINEAR": cases.resizings("RESIZE_BILINEAR"),
    "RESIZE_NEAREST_NEIGHBOR": cases.resizings("RESIZE_NEAREST_NEIGHBOR"),
    **{name: shape_cases.moves(name) for name in shape_cases.MOVES},
    "PRELU": cases.prelus(),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": cases.recurrences(),
    "QUANTIZE, DEQUANTIZE": cases.quantizations(),
}
FAMILIES = {**CONVOLUTIONS, **OTHERS}

WRONG_THEMSELVES = {
    ("reference", "SUM"),
    ("reference", "SUM int16"),
    ("micro", "SPACE_TO_BATCH_ND"),
}
"""Kernels that do not follow the specification, with no rule that could be reproduced."""


def drawn(strategy: st.SearchStrategy[Case], count: int) -> list[Case]:
    """`count` cases of a strategy, the same in every run.

    They are compared together, since starting a kernel set costs more than a hundred cases.
    """
    found: list[Case] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(one: Case) -> None:
        found.append(one)

    collect()
    return found
