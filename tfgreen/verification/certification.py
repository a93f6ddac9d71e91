"""`certify`: run what has to be run, let four gates judge it, and write the certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import metadata

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile
from tfgreen.runtimes import dequantize
from tfgreen.verification import fidelity
from tfgreen.verification.answer_changes import AnswerChanges
from tfgreen.verification.certificate import (
    Certificate,
    Check,
    GateResult,
    Metric,
    OutputFidelity,
    verdict_of,
)
from tfgreen.verification.evidence import Evidence, gather
from tfgreen.verification.execution import Executor, OnProgress
from tfgreen.verification.lineup import Lineup
from tfgreen.verification.metrics import check_labels, is_classification, per_sample
from tfgreen.verification.oracle import REPLACED
from tfgreen.verification.robustness.gate import judge_robustness
from tfgreen.verification.runtime import EndToEnd, compare_runs, judge_runtime
from tfgreen.verification.saturation import findings
from tfgreen.verification.shipped import Shipped
from tfgreen.verification.structure import check_structure, refuse_unknown_ops
from tfgreen.verification.workload import Workload, batch_of

_ON_NOISE = "The samples are made up: give evaluation data to have the file compared with it."
_DISTRIBUTIONS = ("tfgreen", "ai-edge-litert", "numpy")


def certify(
    content: bytes,
    profile: ExportProfile,
    *,
    float_content: bytes | None = None,
    is_other_model: bool = False,
    samples: Samples | None = None,
    metric_samples: Samples | None = None,
    sample_limit: int = 64,
    allow_select_ops: bool = False,
    on_progress: OnProgress | None = None,
) -> Certificate:
    """Judge a .tflite file by its profile: structure, kernels, fidelity, runtime.

    All four gates run, whatever the others find. No TensorFlow is needed.

    Args:
        content: The file.
        profile: What its target accepts and promises.
        float_content: The float .tflite of the same model; without it fidelity is skipped.
        is_other_model: It has other weights than the file was made from, such as the model before
            a training: SQNR and agreement are told, and fail only where no labels judge.
        samples: Float inputs by name, as the float model takes them. Without them (and without
            `metric_samples`) the inputs are made up from a fixed seed. Fidelity judges the SQNR
            alone then, and nothing where activations were quantized for real data.
        metric_samples: Further samples, with labels if there are any: for agreement, the task's
            metric and the end-to-end runs. Of more than 2,000, evenly spaced ones; kernel sets
            without speed take fewer of large networks, and the certificate says how many.
        sample_limit: How many `samples` (evenly spaced) every op is fed, 64 by default.
        allow_select_ops: Let ops through that need the Flex delegate.
        on_progress: Called with (what is done, tasks done, tasks in all), from several threads
            but one at a time.

    Returns:
        The certificate; a failed gate is in it and not raised.

    Raises:
        InvalidModelError: a file is damaged.
        UnsupportedModelError: it has no input or no output.
        InvalidDataError: the samples do not fit the file.
        InvalidProfileError: the profile allows an op that does not exist.
        KernelSetError: a child process cannot be started.
    """
    if sample_limit < 1:
        raise UsageError(f"Received sample_limit={sample_limit}; expected 1 or more samples.")
    refuse_unknown_ops(profile)
    shipped = Shipped.of(content)
    model = shipped.plain
    if not model.inputs or not model.outputs:
        raise UnsupportedModelError(
            f"The file has {len(model.inputs)} inputs and {len(model.outputs)} outputs; there is "
            "something to judge only where it takes and gives something."
        )
    float_model = None if float_content is None else TfliteModel.from_bytes(float_content)
    lineup = Lineup.of(profile)
    workload = Workload.of(model, samples, metric_samples, sample_limit)
    labels = _labels_by_position(model, workload)
    compared = _comparable(model, float_model, workload, profile)
    evidence = gather(
        shipped,
        float_model if isinstance(compared, tuple) else None,
        lineup,
        workload,
        profile.limits,
        Executor(on_progress),
    )
    robustness = None
    if profile.robustness is not None:
        pair = None if isinstance(compared, GateResult) else float_model
        robustness = judge_robustness(
            profile.robustness, model, pair, lineup.truth, workload, on_progress
        )
    return _Certification(
        shipped,
        float_model,
        profile,
        lineup,
        workload,
        evidence,
        compared,
        labels,
        robustness,
        is_other_model,
    ).certificate(allow_select_ops)


def _comparable(
    model: TfliteModel,
    float_model: TfliteModel | None,
    workload: Workload,
    profile: ExportProfile,
) -> tuple[int, ...] | GateResult:
    """The float model's outputs in the file's order, or the gate that says why there are none."""
    if float_model is None:
        return fidelity.skipped("There is no float model to compare with.")
    if workload.samples is None or (workload.is_made_up and profile.needs_calibration):
        return fidelity.skipped("There are no samples on which to compare with the float model.")
    try:
        return fidelity.paired_outputs(model, float_model)
    except UnsupportedModelError as error:
        return fidelity.failed(str(error))


def _labels_by_position(model: TfliteModel, workload: Workload) -> dict[int, np.ndarray]:
    """Checked labels by position of the output."""
    if workload.samples is None:
        return {}
    names = model.output_names
    labels = {}
    for name, array in workload.samples.labels_for(names).items():
        position = names.index(name)
        labels[position] = array[workload.labelled_from :]
        check_labels(labels[position], name, model.tensors[model.outputs[position]].shape)
    return labels


class _Certification:
    """From evidence to the certificate."""

    def __init__(
        self,
        shipped: Shipped,
        float_model: TfliteModel | None,
        profile: ExportProfile,
        lineup: Lineup,
        workload: Workload,
        evidence: Evidence,
        compared: tuple[int, ...] | GateResult,
        labels: Mapping[int, np.ndarray],
        robustness: Check | None = None,
        is_other_model: bool = False,
    ) -> None:
        self._shipped, self._float_model, self._profile = shipped, float_model, profile
        self._model = model = shipped.plain
        self._lineup, self._workload, self._evidence = lineup, workload, evidence
        self._compared, self._labels, self._robustness = compared, labels, robustness
        self._is_other_model = is_other_model
        self._classifying = frozenset(
            position
            for position in range(len(model.outputs))
            if is_classification(model, position, self._labels.get(position))
        )

    def certificate(self, allow_select_ops: bool) -> Certificate:
        """All gates, and the facts that they rest on."""
        evidence, lineup = self._evidence, self._lineup
        runs = EndToEnd(
            outputs=evidence.outputs,
            problems=evidence.problems,
            batch=self._workload.batch,
            classifying=self._classifying,
            is_made_up=self._workload.is_made_up,
            stand_in=evidence.stand_in,
        )
        fidelity_gate, outputs, metrics, answers = self._fidelity()
        saturation = evidence.saturation.results(evidence.kernels.peaks())
        gates = (
            check_structure(
                self._shipped,
                self._profile,
                arena_bytes=evidence.arena_to_load_bytes or evidence.arena_bytes,
                allow_select_ops=allow_select_ops,
            ),
            self._shipped.with_unpacking(
                evidence.kernels.gate(findings(saturation, self._workload.is_made_up)),
                lineup.truth,
                evidence.outputs.get(lineup.truth),
                evidence.unpacked_outputs,
                is_replaced=bool(evidence.stand_in) and lineup.truth == REPLACED,
                is_refused=evidence.refused_packed,
            ),
            fidelity_gate.with_check(self._robustness),
            judge_runtime(self._model, lineup, self._profile.limits, runs),
        )
        agreements = [o.agreement for o in outputs if o.agreement is not None]
        ratios = [o.sqnr_db for o in outputs if o.sqnr_db is not None]
        return Certificate(
            verdict=verdict_of(gates),
            profile=self._profile.name,
            model_sha256=_sha256(self._shipped.model),
            float_sha256=_sha256(self._float_model) if self._float_model else None,
            file_bytes=len(self._shipped.model.content),
            arena_bytes=evidence.arena_bytes,
            arena_to_load_bytes=evidence.arena_to_load_bytes,
            arena_head_bytes=evidence.arena_head_bytes,
            kernel_sets=lineup.facts,
            samples=self._workload.facts,
            metric_samples=self._workload.metric_facts,
            sqnr_db=min(ratios, default=None),
            agreement=min(agreements, default=None),
            metrics=metrics,
            answers=answers,
            gates=gates,
            outputs=outputs,
            layers=evidence.layers.results() if evidence.layers else (),
            kernels=evidence.kernels.results(),
            runtime=compare_runs(self._model, lineup, runs),
            saturation=saturation,
            notes=tuple(self._notes()),
            created_with=_versions(),
        )

    def _fidelity(
        self,
    ) -> tuple[
        GateResult, tuple[OutputFidelity, ...], tuple[Metric, ...], tuple[AnswerChanges, ...]
    ]:
        if isinstance(self._compared, GateResult):
            return self._compared, (), (), ()
        answers = self._answers(self._compared)
        if isinstance(answers, GateResult):
            return answers, (), (), ()
        trial, limits = self._evidence.layers, self._profile.limits
        layers = trial.results() if trial else ()
        made_up = self._workload.is_made_up
        not_finite = tuple(trial.not_finite()) if trial and not made_up else ()
        return (
            fidelity.judge_fidelity(
                self._model,
                self._lineup,
                limits,
                answers,
                layers,
                not_finite,
                made_up,
                self._is_other_model,
            ),
            fidelity.compare_outputs(self._model, self._lineup, answers),
            fidelity.measure_metrics(self._model, self._lineup, answers),
            fidelity.count_answers(self._model, self._lineup, answers),
        )

    def _answers(self, order: tuple[int, ...]) -> fidelity.Answers | GateResult:
        evidence, truth = self._evidence, self._lineup.truth
        made_up = self._workload.is_made_up
        if evidence.float_outputs is None or self._float_model is None:
            text = f"The float model did not run: {evidence.float_problem}"
            return fidelity.skipped(f"{text} {_ON_NOISE}") if made_up else fidelity.failed(text)
        if made_up and not all(np.isfinite(array).all() for array in evidence.float_outputs):
            return fidelity.skipped(f"The float model gives NaN or infinity. {_ON_NOISE}")
        if truth not in evidence.outputs:
            return fidelity.failed(f"The file did not run on the truth '{truth}'.")
        outputs = {name: self._real(arrays) for name, arrays in evidence.outputs.items()}
        float_batch = batch_of(self._float_model)
        float_outputs = tuple(
            per_sample(evidence.float_outputs[position], float_batch) for position in order
        )
        probed = self._workload.facts.count
        own = evidence.logits or tuple(array[:probed] for array in outputs[truth])
        theirs = evidence.float_logits
        return fidelity.Answers(
            outputs=outputs,
            float_outputs=float_outputs,
            logits=own,
            float_logits=tuple(
                theirs[position] if theirs else whole[:probed]
                for position, whole in zip(order, float_outputs, strict=True)
            ),
            labels=self._labels,
            labelled_from=self._workload.labelled_from,
            classifying=frozenset() if made_up else self._classifying,
        )

    def _real(self, arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Outputs of the file as real numbers (samples, ...)."""
        return tuple(
            per_sample(
                dequantize(array, self._model.tensors[index].quantization), self._workload.batch
            )
            for array, index in zip(arrays, self._model.outputs, strict=True)
        )

    def _notes(self) -> list[str]:
        notes = [*self._profile.notes, *self._evidence.notes]
        notes += self._shipped.notes(self._lineup.runs)
        if self._workload.is_made_up:
            notes.append("The inputs were made up from a fixed seed: no samples were given.")
        trial = self._evidence.kernels
        notes.append(f"Every op was fed the intermediates of the {trial.source} kernels.")
        if self._lineup.oracle is not None:
            notes.append(
                "Every op that the NumPy interpreter has was held against it. It computes as "
                f"specified, with the rounding of the {self._lineup.rounding} kernels."
            )
        layers = self._evidence.layers
        if layers is not None and layers.unmatched:
            notes.append(
                f"{layers.unmatched} tensors have no counterpart of the same name in the float "
                "model and are not compared layer by layer."
            )
        return notes


def _sha256(model: TfliteModel) -> str:
    return hashlib.sha256(model.content).hexdigest()


def _versions() -> dict[str, str]:
    versions = {}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a checkout, or a nightly build of another name
            continue
    return versions
