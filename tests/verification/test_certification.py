"""`certify` from end to end on tiny models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError, InvalidModelError, UnsupportedModelError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.runtimes import Availability, Outcome, Task, availability
from tfgreen.verification import Certificate, certify, evidence, execution, lineup

FILE, FLOAT = tiny_models.int8_classifier(), tiny_models.float_classifier()
INT8 = load_profile("mobile-int8")
NEEDS_MICRO = pytest.mark.skipif(
    not availability("micro").available, reason="tflite-micro is not installed"
)


def samples(count: int = 40, labelled: bool = False, seed: int = 0) -> Samples:
    """Inputs over [-1, 1), which is what the classifier's scale covers."""
    x = np.random.default_rng(seed).uniform(-1, 1, (count, 16)).astype(np.float32)
    return Samples({"x": x}, {"y": np.arange(count) % 4} if labelled else {})


def judge(profile: str = "mobile-int8", **options: Any) -> Certificate:
    given = {"float_content": FLOAT, "samples": samples(), "sample_limit": 16}
    return certify(FILE, load_profile(profile), **(given | options))


def test_all_four_gates_pass() -> None:
    certificate = judge()
    assert [(gate.gate, gate.status) for gate in certificate.gates] == [
        ("structure", "passed"), ("kernels", "passed"), ("fidelity", "passed"),
        ("runtime", "passed"),
    ]  # fmt: skip
    assert certificate.verdict == "passed"
    assert certificate.sqnr_db is not None
    assert certificate.sqnr_db > 25
    assert certificate.samples.count == 16
    assert [output.tensor for output in certificate.outputs] == ["logits"]
    assert [layer.tensor for layer in certificate.layers] == ["logits", "scores:0"]
    assert set(certificate.created_with) >= {"ai-edge-litert", "numpy"}


def test_the_same_input_gives_the_same_bytes() -> None:
    assert judge().to_json() == judge().to_json()


def test_the_round_trip_of_a_real_one() -> None:
    certificate = judge()
    assert Certificate.from_json(certificate.to_json()) == certificate


def test_layers_against_numpy() -> None:
    """The SQNR of the logits, computed from the stored weights in NumPy."""
    certificate = judge(profile="coral-edgetpu-int8", sample_limit=40)
    facts = TfliteModel.from_bytes(FILE)
    x = samples().inputs["x"]
    stored = np.clip(np.round(x * 128), -128, 127)
    weights = facts.constant(facts.tensor_index("weights")).astype(np.float64)
    scales = np.linspace(0.005, 0.01, 4)
    bias = facts.constant(facts.tensor_index("bias"))
    sums = (stored @ weights.T + bias) * scales / 128
    ours = (np.clip(np.round(sums / 0.04) + 3, -128, 127) - 3) * 0.04
    true = x @ (weights * scales[:, np.newaxis]).T + bias * scales / 128
    expected = 10 * np.log10((true**2).sum() / ((true - ours) ** 2).sum())
    assert certificate.layers[0].sqnr_db == pytest.approx(expected, abs=0.02)
    assert certificate.sqnr_db == pytest.approx(expected, abs=0.02)


def test_without_a_float_model_fidelity_is_skipped() -> None:
    certificate = judge(float_content=None)
    assert certificate.gate("fidelity").status == "skipped"
    assert certificate.float_sha256 is None
    assert certificate.verdict == "passed"


def test_without_samples_inputs_are_made_up() -> None:
    certificate = judge(samples=None)
    assert certificate.samples.origin == "random"
    assert certificate.gate("fidelity").status == "skipped"
    assert certificate.gate("kernels").status == "passed"
    assert any("made up" in note for note in certificate.notes)


def spoiled(content: bytes, bias: float) -> bytes:
    """A float classifier with another bias throughout."""
    root = tiny_models.unpack(content)
    buffer = root.buffers[root.subgraphs[0].tensors[2].buffer]
    buffer.data = np.frombuffer(np.full(4, bias, np.float32).tobytes(), np.uint8)
    return tiny_models.pack(root)


@pytest.mark.parametrize(
    ("file", "float_content", "status"),
    [
        (FLOAT, FLOAT, "passed"),
        (spoiled(FLOAT, 9.0), FLOAT, "failed"),
        (FLOAT, spoiled(FLOAT, np.nan), "skipped"),
        (spoiled(FLOAT, np.nan), FLOAT, "failed"),
    ],
)
def test_without_samples_a_file_with_float_activations_is_judged_on_made_up_ones(
    file: bytes, float_content: bytes, status: str
) -> None:
    profile = load_profile("mobile-float16")
    certificate = certify(file, profile, float_content=float_content, sample_limit=8)
    gate = certificate.gate("fidelity")
    assert gate.status == status and "made up" in gate.checks[0].message
    assert certificate.agreement is None, "which says nothing on noise"
    if status == "passed":
        assert [(c.name, c.status) for c in gate.checks][:2] == [
            ("samples", "warning"), ("sqnr", "passed"),
        ]  # fmt: skip


def test_metrics_on_all_kernel_sets() -> None:
    labelled = samples(60, labelled=True)
    certificate = judge(samples=labelled, metric_samples=labelled)
    (metric,) = certificate.metrics
    assert (metric.output, metric.kind) == ("scores", "accuracy")
    assert set(metric.kernel_sets) == {"xnnpack", "reference", "optimized"}
    assert set(metric.samples.values()) == {60}
    assert certificate.metric_samples is not None
    assert certificate.metric_samples.count == 60
    assert {result.samples for result in certificate.runtime} == {60}


@pytest.mark.parametrize("count", [10, 60])
def test_the_truth_comes_first(count: int) -> None:
    """Also where it answers nothing beyond what the capture showed: 10 samples, all probed."""
    labelled = samples(count, labelled=True)
    certificate = judge("coral-edgetpu-int8", samples=labelled, metric_samples=labelled)
    assert list(certificate.metrics[0].kernel_sets) == ["reference", "optimized", "xnnpack"]


def test_metric_samples_of_their_own() -> None:
    certificate = judge(metric_samples=samples(30, labelled=True, seed=1))
    (metric,) = certificate.metrics
    assert set(metric.samples.values()) == {30}
    assert {result.samples for result in certificate.runtime} == {46}  # 16 probed and 30


def test_slow_kernel_sets_stop_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "SLOW_MAC_BUDGET", 64 * 10)  # the model has 64
    labelled = samples(60, labelled=True)
    certificate = judge(samples=labelled, metric_samples=labelled)
    assert certificate.metrics[0].samples == {
        "xnnpack": 60, "reference": 26, "optimized": 60, "float": 60,
    }  # fmt: skip


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = judge(profile="coral-edgetpu-int8")
    monkeypatch.setattr(evidence, "PORTION_BYTES", 600)
    parts = judge(profile="coral-edgetpu-int8")
    assert parts.kernels == whole.kernels
    assert parts.runtime == whole.runtime
    assert [layer.tensor for layer in parts.layers] == [layer.tensor for layer in whole.layers]
    assert parts.sqnr_db == pytest.approx(whole.sqnr_db)


@pytest.mark.parametrize("dying", [0, 1])
def test_outputs_of_a_capture_that_died_are_not_held_against_others(
    dying: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The truth shows its intermediates in portions; the rest of its outputs would not line up."""
    run_tasks, captures = execution.run_tasks, []

    def deadly(kernel_set: str, tasks: Sequence[Task], **options: Any) -> list[Outcome]:
        outcomes = run_tasks(kernel_set, tasks, **options)
        for position, task in enumerate(tasks):
            if (task.capture, task.name, kernel_set) == ("all", "the file", "optimized"):
                captures.append(task)
                if len(captures) == dying + 1:
                    outcomes[position] = Outcome("crashed", "It died.")
        return outcomes

    monkeypatch.setattr(execution, "run_tasks", deadly)
    monkeypatch.setattr(evidence, "PORTION_BYTES", 600)
    fields = load_profile("coral-edgetpu-int8").model_dump()
    fields["kernel_sets"] = {"truth": "optimized", "compared": ("xnnpack",)}
    labelled = samples(60, labelled=True)
    certificate = certify(
        FILE,
        ExportProfile.model_validate(fields),
        float_content=FLOAT,
        samples=labelled,
        metric_samples=labelled,
        sample_limit=16,
    )
    failed = {(check.gate, check.name) for check in certificate.failed_checks}
    assert failed >= {("kernels", "capture"), ("runtime", "file-runs"), ("fidelity", "float-model")}
    assert not certificate.runtime and not certificate.metrics


def test_a_wrong_file_fails_fidelity() -> None:
    root = tiny_models.unpack(FILE)
    weights = root.buffers[root.subgraphs[0].tensors[1].buffer]
    weights.data = np.roll(weights.data, 7)
    certificate = certify(
        tiny_models.pack(root), INT8, float_content=FLOAT, samples=samples(), sample_limit=16
    )
    assert certificate.verdict == "failed"
    failed = {(check.gate, check.name) for check in certificate.failed_checks}
    assert failed == {("fidelity", "sqnr"), ("fidelity", "agreement")}


def test_without_a_softmax_the_ratio_rests_on_the_probed_samples() -> None:
    """y = x there, and y = x + 1 here: 10 log10(mean x²) dB, of the probed samples alone."""
    tensors = [TensorSpec(name, (1, 4), "float32") for name in ("x", "y")]
    shift = TensorSpec("shift", (1, 4), "float32", data=np.ones((1, 4), np.float32))
    add = build([*tensors, shift], [OpSpec("ADD", ["x", "shift"], ["y"])], ["x"], ["y"])
    plain = build(tensors, [OpSpec("RELU", ["x"], ["y"])], ["x"], ["y"])
    x = np.concatenate([np.full((2, 4), 10), np.full((6, 4), 100)]).astype(np.float32)
    certificate = certify(
        add,
        load_profile("mobile-float16"),
        float_content=plain,
        samples=Samples({"x": x[:2]}),
        metric_samples=Samples({"x": x[2:]}),
    )
    assert certificate.sqnr_db == pytest.approx(20.0)


def test_another_float_model_fails_fidelity() -> None:
    certificate = judge(float_content=tiny_models.float_classifier(classes=5))
    (check,) = certificate.gate("fidelity").checks
    assert check.status == "failed"
    assert "shape" in check.message


def test_a_float_model_that_gives_nan() -> None:
    certificate = judge(float_content=spoiled(FLOAT, np.nan))
    messages = [check.message for check in certificate.gate("fidelity").checks]
    assert "The tensor 'logits' has values that are not finite." in messages
    assert "The output 'scores' has values that are not finite (NaN or infinite)." in messages
    assert certificate.gate("fidelity").status == "failed"
    assert Certificate.from_json(certificate.to_json()) == certificate


@NEEDS_MICRO
def test_the_arena_is_measured_and_held_against_its_budget() -> None:
    certificate = judge(profile="microcontroller-int8")
    assert certificate.arena_bytes is not None
    assert certificate.arena_to_load_bytes is not None
    tight = load_profile("microcontroller-int8").with_overrides(arena=64)
    failed = certify(FILE, tight, samples=samples(), sample_limit=4).failed_checks
    assert [check.name for check in failed] == ["arena-bytes"]


def test_a_truth_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> Availability:
        if name == "micro":
            return Availability(False, None, 'Install it: pip install "tfgreen[mcu]"')
        return availability(name)

    monkeypatch.setattr(lineup, "availability", found)
    certificate = judge(profile="microcontroller-int8")
    assert certificate.verdict == "passed"
    assert [check.gate for check in certificate.warnings] == ["kernels", "runtime"]
    assert certificate.kernel_sets["reference"].role == "stand-in"


def test_two_inputs_and_two_outputs() -> None:
    tensors = [TensorSpec(name, (1, 4), scale=0.02) for name in ("a", "b", "sum", "product")]
    ops = [OpSpec("ADD", ["a", "b"], ["sum"]), OpSpec("MUL", ["a", "b"], ["product"])]
    content = build(tensors, ops, ["a", "b"], ["sum", "product"])
    floats = [TensorSpec(name, (1, 4), "float32") for name in ("a", "b", "sum", "product")]
    rng = np.random.default_rng(0)
    given = Samples({n: rng.uniform(-1, 1, (20, 4)).astype(np.float32) for n in ("b", "a")})
    certificate = certify(
        content,
        INT8,
        float_content=build(floats, ops, ["a", "b"], ["sum", "product"]),
        samples=given,
        sample_limit=8,
    )
    assert certificate.verdict == "passed"
    assert [output.output for output in certificate.outputs] == ["sum", "product"]
    assert all(output.agreement is None for output in certificate.outputs)
    assert len(certificate.layers) == 2


def test_batches() -> None:
    content = tiny_models.int8_conv(batch=4)
    given = Samples({"image": np.random.default_rng(0).uniform(0, 1, (17, 6, 6, 3))})
    certificate = certify(content, INT8.with_overrides(batch=4), samples=given, sample_limit=10)
    assert certificate.verdict == "passed"
    assert certificate.samples.count == 8
    assert {result.samples for result in certificate.runtime} == {8}


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    judge(on_progress=lambda *progress: told.append(progress))
    assert {doing for doing, _, _ in told} >= {"running the file", "running each op"}
    assert all(0 < done <= total for _, done, total in told)


def test_flex_ops_fail_the_truth_even_if_allowed() -> None:
    flex = tiny_models.custom_op("FlexErf")
    profile = load_profile("mobile-float16")
    certificate = certify(flex, profile, allow_select_ops=True)
    structure, runtime = certificate.gate("structure"), certificate.gate("runtime")
    assert [c.status for c in structure.checks if c.name == "ops"] == ["warning"]
    assert runtime.status == "failed"


def test_what_is_refused() -> None:
    with pytest.raises(InvalidModelError):
        certify(b"no model", INT8)
    with pytest.raises(UsageError, match="sample_limit=0"):
        judge(sample_limit=0)
    with pytest.raises(InvalidDataError):
        judge(samples=Samples({"x": np.zeros((4, 3), np.float32)}))


@pytest.mark.parametrize(("inputs", "outputs"), [([], ["y"]), (["x"], [])])
def test_a_file_that_takes_or_gives_nothing(inputs: list[str], outputs: list[str]) -> None:
    fixed = TensorSpec("fixed", (1, 2), "float32", data=np.ones((1, 2), np.float32))
    source = TensorSpec("x", (1, 2), "float32", data=None if inputs else fixed.data)
    result = TensorSpec("y", (1, 2), "float32")
    content = build(
        [fixed, source, result], [OpSpec("ADD", ["x", "fixed"], ["y"])], inputs, outputs
    )
    with pytest.raises(UnsupportedModelError, match=f"{len(inputs)} inputs and {len(outputs)} out"):
        certify(content, INT8)


def test_no_tensorflow_is_imported() -> None:
    code = "import sys, tfgreen.verification; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
