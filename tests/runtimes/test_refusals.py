"""Messages that LiteRT 2.3 and TensorFlow Lite Micro really give, and what they stand for."""

from __future__ import annotations

import pytest

from tfgreen.runtimes.protocol import RefusedModelError, UnregisteredOpError
from tfgreen.runtimes.refusals import one_line, refusal


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (
            "Didn't find op for builtin opcode 'ELU' version '1'. An older version of this builtin "
            "might be supported.\nRegistration failed.\n",
            "no ELU version 1.",
        ),
        ("Didn't find op for builtin opcode 'GELU'\nFailed to get registration", "no GELU."),
        (
            "Encountered unresolved custom op: Mystery.\nSee instructions: https://x Node number 0 "
            "(Mystery) failed to prepare.",
            "no custom op Mystery.",
        ),
        (
            "Select TensorFlow op(s), included in the given model, is(are) not supported by this "
            "interpreter. Make sure you apply/link the Flex delegate.Node number 0 (FlexErf) "
            "failed to prepare.",
            "no FlexErf:",
        ),
        (
            "tflite/kernels/elementwise.cc:146 Type INT8 is unsupported by op Cos.Node number 0 "
            "(COS) failed to prepare.",
            "no COS for these types",
        ),
        (
            "Input type INT64 (4) not supported.\nNode CAST (number 0) failed to invoke with "
            "status 1",
            "no CAST for these types",
        ),
    ],
)
def test_a_missing_kernel_is_named(message: str, named: str) -> None:
    found = refusal("micro", message)
    assert isinstance(found, UnregisteredOpError) and named in str(found)


@pytest.mark.parametrize(
    "message",
    ["The model is not a valid Flatbuffer buffer", "Constant buffer 2 specified an out of range"],
)
def test_other_messages_are_refusals(message: str) -> None:
    found = refusal("reference", message)
    assert isinstance(found, RefusedModelError) and message in str(found)


def test_long_messages_are_cut() -> None:
    assert len(one_line("a b\n" * 1000)) == 400
