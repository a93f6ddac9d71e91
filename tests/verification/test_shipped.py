"""Certificates of packed files: about the bytes that are shipped, whatever can unpack them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests import tiny_models
from tests.encodings.networks import inputs, layer
from tfgreen.encodings.bitmap import encode_bitmap
from tfgreen.encodings.candidates import candidate
from tfgreen.encodings.rewriting import with_packed_constants
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.runtimes import Outcome, Task, availability, run_tasks
from tfgreen.verification import Certificate, certify, execution
from tfgreen.verification.replay import with_replay
from tfgreen.verification.shipped import Shipped

NEEDS_MICRO = pytest.mark.skipif(not availability("micro").available, reason="no tflite-micro")
DENSE = layer(zeros=0.8, values=7)


def packed(encoding: str) -> bytes:
    made = candidate(TfliteModel.from_bytes(DENSE), encoding)
    assert made is not None
    return made.content


def message(certificate: Certificate, gate: str) -> tuple[str, str]:
    (check,) = [c for c in certificate.gate(gate).checks if c.name == "packed-weights"]
    return check.status, check.message


def test_a_sparse_file() -> None:
    content = packed("sparse")
    certificate = certify(content, load_profile("mobile-int8"), sample_limit=8)
    assert certificate.passed
    assert certificate.model_sha256 == hashlib.sha256(content).hexdigest()
    assert certificate.file_bytes == len(content)
    assert message(certificate, "structure")[1].startswith("1 op DENSIFY unpack")
    assert message(certificate, "kernels") == (
        "passed",
        "With packed and with plain weights, 'xnnpack' answers bit for bit the same to 8 calls.",
    )
    assert {kernel.op for kernel in certificate.kernels} == {"CONV_2D"}
    assert {run.kernel_set for run in certificate.runtime} == {"reference", "optimized"}


@NEEDS_MICRO
def test_a_decode_file() -> None:
    content = packed("decode")
    certificate = certify(content, load_profile("microcontroller-int8"), sample_limit=8)
    assert certificate.passed
    assert certificate.file_bytes == len(content)
    assert message(certificate, "kernels")[0] == "passed"
    assert any("reference and xnnpack have no op" in note for note in certificate.notes)
    plain = certify(DENSE, load_profile("microcontroller-int8"), sample_limit=8)
    assert certificate.arena_bytes is not None
    assert plain.arena_bytes is not None
    assert certificate.arena_bytes > plain.arena_bytes  # the shipped file's own arena
    assert certificate.runtime == plain.runtime


def test_a_target_that_cannot_unpack() -> None:
    certificate = certify(packed("decode"), load_profile("mobile-int8"), sample_limit=4)
    assert not certificate.passed
    assert "has no TFLM_DECODE" in message(certificate, "structure")[1]
    assert message(certificate, "kernels")[0] == "warning"
    coral = load_profile("coral-edgetpu-int8")
    certificate = certify(packed("sparse"), coral, sample_limit=4)
    assert "has no DENSIFY" in message(certificate, "structure")[1]


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        (
            ("the file", "the file with plain weights"),
            ("warning", "'numpy', which stands in for 'reference', cannot unpack"),
        ),
        (("the file",), ("failed", "runs the file with plain weights, not with packed ones.")),
    ],
)
def test_the_oracle_has_not_unpacked_anything(
    refused: tuple[str, ...], expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(name: str, tasks: Sequence[Task], **options: Any) -> list[Outcome]:
        outcomes = run_tasks(name, tasks, **options)
        return [
            Outcome("failed", "It refuses.")
            if name == "reference" and task.name in refused and task.capture != "all"
            else outcome
            for task, outcome in zip(tasks, outcomes, strict=True)
        ]

    monkeypatch.setattr(execution, "run_tasks", refusing)
    certificate = certify(packed("sparse"), load_profile("coral-edgetpu-int8"), sample_limit=4)
    status, words = message(certificate, "kernels")
    assert status == expected[0] and expected[1] in words


@NEEDS_MICRO
def test_a_file_that_unpacks_to_something_else_on_the_truth() -> None:
    """A table where TFLM goes by the scales, and the header names one for the whole tensor."""
    from tfgreen.encodings.lut import encode_lut

    model = TfliteModel.from_bytes(DENSE)
    index = model.tensor_index("weights")
    table = encode_lut(model.constant(index), None)
    assert table is not None
    content = with_packed_constants(model, {index: table})
    certificate = certify(content, load_profile("microcontroller-int8"), sample_limit=4)
    assert not certificate.passed
    assert message(certificate, "kernels")[0] == "failed"


def test_golden_vectors_of_a_packed_file() -> None:
    """Kernel sets that cannot unpack replay the plain file."""
    model = TfliteModel.from_bytes(DENSE)
    index = model.tensor_index("weights")
    content = with_packed_constants(model, {index: encode_bitmap(model.constant(index))})
    profile = load_profile("microcontroller-int8")
    expected = run_tasks("reference", [Task("dense", DENSE, inputs())])[0].outputs
    certificate = certify(DENSE, load_profile("mobile-int8"), sample_limit=4)
    replayed = with_replay(certificate, content, inputs(), {"reference": expected}, profile)
    (check,) = [c for c in replayed.checks if c.name == "golden-vectors"]
    assert check.status == "passed"


def test_a_dense_file_is_both() -> None:
    shipped = Shipped.of(tiny_models.int8_classifier())
    assert not shipped.is_packed
    assert shipped.model is shipped.plain
    assert not list(shipped.structure_checks(load_profile("mobile-int8")))
    assert not list(shipped.notes(("xnnpack",)))
    assert np.array_equal(shipped.runs_on("micro"), True)
