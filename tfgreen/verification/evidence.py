"""Everything that has to be run for a certificate, in as few child processes as it takes.

The file runs end to end on every kernel set. One kernel set also shows its intermediates, which
feed every op on the others and are held against the float model's. Samples are taken in portions
whose intermediates fit `PORTION_BYTES`, so that large networks need no more memory than that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tfgreen.flatbuffer import TfliteModel, logits, multiply_accumulates, with_outputs
from tfgreen.profile import Limits
from tfgreen.runtimes import Outcome, Task, dequantize, quantize_inputs
from tfgreen.verification.execution import Executor
from tfgreen.verification.kernels import KernelTrial, Values
from tfgreen.verification.layers import LayerTrial
from tfgreen.verification.lineup import Lineup
from tfgreen.verification.metrics import per_sample
from tfgreen.verification.oracle import ORACLE, REPLACED, misled, refuses
from tfgreen.verification.saturation import SaturationTrial
from tfgreen.verification.shipped import Shipped
from tfgreen.verification.workload import Workload, batch_of

PORTION_BYTES = 512 << 20
"""Most bytes of intermediates at once: of the file, and again of the float model."""

SLOW_KERNEL_SETS = frozenset({"micro", "numpy", "reference"})
SLOW_MAC_BUDGET = 5_000_000_000
"""Multiply-accumulates for which a slow kernel set goes on beyond the probed samples."""

_CAPTURE = "capture"
_FLOAT_CAPTURE_SET = "optimized"
_FLOAT_OUTPUT_SET = "xnnpack"


@dataclass
class Evidence:
    """What came out.

    Attributes:
        kernels: Every op on every kernel set.
        layers: The tensors that the file shares with the float model; None without one.
        outputs: Kernel set to one array per graph output, (calls, *tensor shape); the truth first.
        problems: Status and message of every kernel set that did not run the file.
        float_outputs: The float model's, in its own order; None if it did not run.
        float_problem: Why not.
        logits: Of the probed samples, one array of real numbers per graph output, (samples,
            ...), on the truth: the tensors that `tfgreen.flatbuffer.logits` names.
        float_logits: The float model's.
        unpacked_outputs: Of the probed calls, on the truth, where the file's constants are packed:
            the outputs of the same file with plain ones.
        arena_bytes, arena_head_bytes, arena_to_load_bytes: As the micro kernels told them, or
            None.
        stand_in: Why the oracle ran the file in place of the reference kernels; "" if it did not.
        refused_packed: The reference kernels, the truth, ran the file with plain constants and
            refused it with packed ones.
        notes: What was done differently, and why.
    """

    kernels: KernelTrial
    saturation: SaturationTrial
    layers: LayerTrial | None = None
    outputs: dict[str, tuple[np.ndarray, ...]] = field(default_factory=dict)
    problems: dict[str, tuple[str, str]] = field(default_factory=dict)
    float_outputs: tuple[np.ndarray, ...] | None = None
    float_problem: str = ""
    logits: tuple[np.ndarray, ...] | None = None
    float_logits: tuple[np.ndarray, ...] | None = None
    unpacked_outputs: tuple[np.ndarray, ...] | None = None
    arena_bytes: int | None = None
    arena_head_bytes: int | None = None
    arena_to_load_bytes: int | None = None
    stand_in: str = ""
    refused_packed: bool = False
    notes: list[str] = field(default_factory=list)


def gather(
    shipped: Shipped,
    float_model: TfliteModel | None,
    lineup: Lineup,
    workload: Workload,
    limits: Limits,
    executor: Executor,
) -> Evidence:
    """Run all there is to run. `float_model` needs a workload that has `samples`."""
    return _Gathering(shipped, float_model, lineup, workload, limits, executor).evidence()


class _Gathering:
    def __init__(
        self,
        shipped: Shipped,
        float_model: TfliteModel | None,
        lineup: Lineup,
        workload: Workload,
        limits: Limits,
        executor: Executor,
    ) -> None:
        self._shipped, self._float_model = shipped, float_model
        self._model = model = shipped.plain
        self._lineup, self._workload, self._executor = lineup, workload, executor
        self._float_inputs: tuple[np.ndarray, ...] = ()
        capture_set = lineup.capture_set(model)
        self._found = Evidence(
            KernelTrial(model, lineup, capture_set, limits.op_quanta), SaturationTrial(model)
        )
        wrong = misled(model) if lineup.oracle is not None else None
        self._interpreting = "" if wrong is None else f"it {wrong.told}."
        if float_model is not None and workload.samples is not None:
            self._float_inputs = quantize_inputs(float_model, workload.samples)
            if batch_of(float_model) == workload.batch:
                self._found.layers = LayerTrial(model, float_model)
        self._captured_outputs: list[tuple[np.ndarray, ...]] = []
        self._captured_logits: list[tuple[np.ndarray, ...]] = []
        self._showing: str | None = None
        self._ran_unaided = False

    def evidence(self) -> Evidence:
        self._fold_constants()
        trial = self._found.kernels
        if trial.captured_model is self._shipped.model and trial.capture_set in self._lineup.runs:
            self._showing = trial.capture_set
        portions = list(self._portions())
        tasks = self._capture_tasks(portions[0]) | self._whole_file_tasks()
        outcomes = self._run_each("running the file", tasks)
        self._take_whole_file(outcomes)
        for portion in portions:
            if portion != portions[0]:
                tasks = self._capture_tasks(portion)
                outcomes = self._run_each("capturing", tasks)
            values = self._captured(outcomes, portion)
            if values is None:
                break
            self._run_ops(values)
            if self._lineup.oracle is not None:
                self._found.saturation.add(values)
            truths = outcomes.get((_FLOAT_CAPTURE_SET, "float capture"))
            if self._found.layers is not None and truths is not None and truths.ok:
                self._found.layers.add(values, truths.tensors)
        self._join_captured()
        trial.is_truth_replaced = bool(self._found.stand_in) and not self._ran_unaided
        outputs = self._found.outputs
        self._found.outputs = {name: outputs[name] for name in self._lineup.runs if name in outputs}
        return self._found

    def _run_each(
        self, doing: str, tasks: dict[tuple[str, str], Task]
    ) -> dict[tuple[str, str], Outcome]:
        """Outcomes of the tasks; the oracle's for what the reference kernels cannot do."""
        outcomes: dict[tuple[str, str], Outcome] = {}
        if self._interpreting:
            outcomes = self._interpreted(doing, [key for key in tasks if key[0] == REPLACED], tasks)
        rest = {key: task for key, task in tasks.items() if key not in outcomes}
        outcomes |= self._executor.run_each(doing, rest)
        refused = [key for key in rest if key[0] == REPLACED and refuses(outcomes[key])]
        if refused and self._lineup.oracle is not None:
            messages = [outcomes[key].message for key in refused]
            self._interpreting = messages[0]
            plain = outcomes.get((REPLACED, "plain file"))
            self._found.refused_packed |= (REPLACED, "file") in refused and bool(plain and plain.ok)
            outcomes |= self._interpreted(doing, refused, tasks)
        own = (key for key in rest if key[0] == REPLACED and key not in refused)
        self._ran_unaided |= any(self._is_whole_file(key) and outcomes[key].ok for key in own)
        return outcomes

    def _is_whole_file(self, key: tuple[str, str]) -> bool:
        """Whether a task gives the outputs that its kernel set is judged by."""
        return key[1] == "file" or (key[1] == _CAPTURE and key[0] == self._showing)

    def _interpreted(
        self, doing: str, keys: list[tuple[str, str]], tasks: dict[tuple[str, str], Task]
    ) -> dict[tuple[str, str], Outcome]:
        """The oracle's outcomes, if it can do all that is asked, under the names of others."""
        work = {ORACLE: [self._for_oracle(tasks[key]) for key in keys]}
        found = self._executor.run(doing, work)[ORACLE] if keys else []
        if not keys or not all(outcome.ok for outcome in found):
            self._interpreting = ""
            return {}
        if any(map(self._is_whole_file, keys)):
            self._found.stand_in = self._interpreting
        if any(key[1] == _CAPTURE for key in keys):
            self._found.kernels.is_stood_in_for = True
        return dict(zip(keys, found, strict=True))

    def _for_oracle(self, task: Task) -> Task:
        packed = task.content is self._shipped.model.content
        content = self._shipped.content_for(ORACLE) if packed else task.content
        return replace(task, content=content, rounding=REPLACED)

    def _fold_constants(self) -> None:
        trial = self._found.kernels
        work = trial.constant_tasks()
        if work:
            trial.add_constants(self._executor.run("running constant ops", work))

    def _portions(self) -> Iterator[slice]:
        """Slices of the probed calls whose intermediates fit the limit."""
        models = [self._found.kernels.captured_model]
        if self._found.layers is not None and self._float_model is not None:
            models.append(self._float_model)
        per_call = max(map(_activation_bytes, models))
        size = max(1, PORTION_BYTES // max(1, per_call))
        for start in range(0, self._workload.probed_calls, size):
            yield slice(start, min(start + size, self._workload.probed_calls))

    def _capture_tasks(self, portion: slice) -> dict[tuple[str, str], Task]:
        trial = self._found.kernels
        inputs = _part(self._workload.inputs, portion)
        content = trial.captured_model.content
        tasks = {(trial.capture_set, _CAPTURE): Task("the file", content, inputs, "all")}
        if self._found.layers is not None and self._float_model is not None:
            inputs = _part(self._float_inputs, portion)
            task = Task("the float model", self._float_model.content, inputs, "all")
            tasks[_FLOAT_CAPTURE_SET, "float capture"] = task
        return tasks

    def _whole_file_tasks(self) -> dict[tuple[str, str], Task]:
        """The file on every kernel set, its logits on the truth, and the float model."""
        tasks: dict[tuple[str, str], Task] = {}
        slow_first = sorted(self._lineup.runs, key=lambda name: name not in SLOW_KERNEL_SETS)
        for name in slow_first:
            inputs = _part(self._workload.inputs, self._whole_file_calls(name))
            if len(inputs[0]):
                micro = name == "micro"
                content = self._shipped.content_for(name)
                task = Task(
                    "the file",
                    content,
                    inputs,
                    measure_loading_arena=micro,
                    rounding=self._lineup.rounding,
                )
                tasks[name, "file"] = task
        probed = slice(0, self._workload.probed_calls)
        if self._shipped.is_packed:
            inputs = _part(self._workload.inputs, probed)
            task = Task("the file with plain weights", self._model.content, inputs)
            tasks[self._lineup.truth, "plain file"] = task
        if self._float_model is None:
            return tasks
        task = Task("the float model", self._float_model.content, self._float_inputs)
        tasks[_FLOAT_OUTPUT_SET, "float"] = task
        chosen = logits(self._model)
        if chosen != self._model.outputs and self._showing != self._lineup.truth:
            inputs = _part(self._workload.inputs, probed)
            task = Task("logits", with_outputs(self._model, chosen), inputs)
            tasks[self._lineup.truth, "logits"] = task
        chosen = logits(self._float_model)
        if chosen != self._float_model.outputs:
            inputs = _part(self._float_inputs, self._float_probed())
            task = Task("float logits", with_outputs(self._float_model, chosen), inputs)
            tasks[_FLOAT_OUTPUT_SET, "float logits"] = task
        return tasks

    def _float_probed(self) -> slice:
        batch = batch_of(self._float_model) if self._float_model else 1
        return slice(0, self._workload.probed_calls * self._workload.batch // batch)

    def _whole_file_calls(self, name: str) -> slice:
        """The calls of a whole-file run: not those that the capture runs anyway."""
        first, last = 0, self._workload.calls
        if name == self._showing:
            first = self._workload.probed_calls
        if name in SLOW_KERNEL_SETS:
            macs = sum(multiply_accumulates(self._model, op) for op in self._model.ops)
            affordable = SLOW_MAC_BUDGET // max(1, macs)
            last = min(last, self._workload.probed_calls + affordable)
        return slice(first, last)

    def _take_whole_file(self, outcomes: dict[tuple[str, str], Outcome]) -> None:
        found = self._found
        for name in self._lineup.runs:
            outcome = outcomes.get((name, "file"))
            if outcome is None:
                continue
            if not outcome.ok:
                found.problems[name] = (outcome.status, outcome.message)
                continue
            found.outputs[name] = outcome.outputs
            found.arena_bytes = found.arena_bytes or outcome.arena_bytes
            found.arena_head_bytes = found.arena_head_bytes or outcome.arena_head_bytes
            found.arena_to_load_bytes = found.arena_to_load_bytes or outcome.arena_to_load_bytes
        unpacked = outcomes.get((self._lineup.truth, "plain file"))
        found.unpacked_outputs = unpacked.outputs if unpacked is not None and unpacked.ok else None
        whole = outcomes.get((_FLOAT_OUTPUT_SET, "float"))
        if whole is not None and whole.ok:
            found.float_outputs = whole.outputs
        elif whole is not None:
            found.float_problem = whole.message
        found.logits = self._real_logits(self._model, outcomes.get((self._lineup.truth, "logits")))
        if self._float_model is not None:
            shown = outcomes.get((_FLOAT_OUTPUT_SET, "float logits"))
            found.float_logits = self._real_logits(self._float_model, shown)

    def _real_logits(
        self, model: TfliteModel, outcome: Outcome | None
    ) -> tuple[np.ndarray, ...] | None:
        if outcome is None or not outcome.ok:
            return None
        return _as_real_samples(model, outcome.outputs)

    def _captured(self, outcomes: dict[tuple[str, str], Outcome], portion: slice) -> Values | None:
        """The intermediates; captured again on the optimized kernels if the first ones failed."""
        trial = self._found.kernels
        outcome = outcomes[trial.capture_set, _CAPTURE]
        if not outcome.ok and portion.start == 0 and trial.capture_set != "optimized":
            failed = trial.capture_set
            self._note_failed_capture(failed, outcome)
            trial.capture_set = "optimized"
            tasks = self._capture_tasks(portion)
            outcome = self._executor.run_each("capturing", tasks)["optimized", _CAPTURE]
        if not outcome.ok:
            trial.capture_problem = outcome.message
            if trial.capture_set == self._showing:  # its outputs would begin with a gap
                self._drop_outputs(trial.capture_set, outcome)
            return None
        if trial.capture_set == self._showing:
            self._captured_outputs.append(outcome.outputs)
            shown = tuple(np.array(outcome.tensors[index]) for index in logits(self._model))
            self._captured_logits.append(shown)
        return outcome.tensors

    def _note_failed_capture(self, name: str, outcome: Outcome) -> None:
        self._found.notes.append(
            f"The intermediates come from the optimized kernels, since the {name} ones do not run "
            "the file."
        )
        if name in self._lineup.runs:
            self._drop_outputs(name, outcome)

    def _drop_outputs(self, name: str, outcome: Outcome) -> None:
        self._found.problems[name] = (outcome.status, outcome.message)
        self._found.outputs.pop(name, None)

    def _run_ops(self, values: Values) -> None:
        trial = self._found.kernels
        trial.add(values, self._executor.run("running each op", trial.tasks(values)))

    def _join_captured(self) -> None:
        """Put what the capture showed before the outputs of the further calls."""
        name = self._showing
        if name is None or not self._captured_outputs or name in self._found.problems:
            return
        parts = [*self._captured_outputs]
        if name in self._found.outputs:
            parts.append(self._found.outputs[name])
        self._found.outputs[name] = tuple(map(np.concatenate, zip(*parts, strict=True)))
        if name == self._lineup.truth:
            whole = tuple(map(np.concatenate, zip(*self._captured_logits, strict=True)))
            self._found.logits = _as_real_samples(self._model, whole)


def _as_real_samples(model: TfliteModel, values: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Values of the logits, (calls, *tensor shape), as real numbers (samples, ...)."""
    return tuple(
        per_sample(dequantize(array, model.tensors[index].quantization), batch_of(model))
        for array, index in zip(values, logits(model), strict=True)
    )


def _part(arrays: Sequence[np.ndarray], calls: slice) -> tuple[np.ndarray, ...]:
    return tuple(array[calls] for array in arrays)


def _activation_bytes(model: TfliteModel) -> int:
    written = {i for op in model.ops for i in op.outputs} | set(model.inputs)
    return sum(
        math.prod(model.tensors[i].shape) * np.dtype(_numpy_name(model.tensors[i].dtype)).itemsize
        for i in written
    )


def _numpy_name(dtype: str) -> str:
    return dtype if dtype in np.sctypeDict else "int64"
