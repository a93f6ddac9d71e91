"""Every op's error: by itself, inherited, against the ideal, and as a share of the final one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.preprocess import STORED_RANGES
from tfgreen.runtimes import quantize_inputs
from tfgreen.verification.diagnosis.ideal import ideal_sqnr_db
from tfgreen.verification.diagnosis.pairing import TensorPair, correlation, pair
from tfgreen.verification.diagnosis.running import Runner
from tfgreen.verification.diagnosis.shares import Shares
from tfgreen.verification.diagnosis.steps import (
    Step,
    Workbench,
    codes_of,
    reals_of,
    steps_of,
)
from tfgreen.verification.sqnr import Power, rounded_to

OnProgress = Callable[[str, int, int], None]

SAMPLES = 64
SHARE_SAMPLES = 16
"""Samples for the shares, which take as many partial runs as the file has ops."""

INPUT = "INPUT"
"""Stands for an op's name where a graph input is stored."""


@dataclass(frozen=True)
class LayerError:
    """What one op, or the storing of a graph input, adds to the error. All figures in dB are
    signal-to-quantization-noise ratios against the float model; None means no noise at all.

    Attributes:
        op_index: In the file; -1 for a graph input.
        op_name: "CONV_2D", ...; "INPUT" for a graph input.
        tensor_index: Of the tensor that it writes, in the file.
        tensor_name: Of that tensor.
        float_index: Of its twin in the float file.
        own_sqnr_db: Of the op alone, fed the float model's inputs as the file stores them.
        inherited_sqnr_db: In a run of the whole file: the errors of all ops before included.
        ideal_sqnr_db: Of the float tensor stored with its own best scale.
        stored_sqnr_db: Of the float tensor stored with the file's scale.
        alone_sqnr_db: At the end, were this the only op that is not float.
        share_of_final_error: By how much the final error falls if this op were float, 0..1; the
            shares of several faults that hide each other do not add up to one.
    """

    op_index: int
    op_name: str
    tensor_index: int
    tensor_name: str
    float_index: int
    own_sqnr_db: float | None
    inherited_sqnr_db: float | None
    ideal_sqnr_db: float | None
    stored_sqnr_db: float | None
    alone_sqnr_db: float | None
    share_of_final_error: float


class Comparison:
    """A file and its float model on some samples: all values of both, and all steps.

    Attributes:
        model, float_model: The two files.
        pairs: Tensors that belong together.
        twins: Float tensor index by the file's.
        steps: In execution order.
        codes: Stored values of the file's activations by tensor index, (calls, *tensor shape).
        truths: Values of the float model, by the *file's* tensor index and in its shape.
    """

    def __init__(self, float_content: bytes, content: bytes, samples: Samples) -> None:
        self.float_model = TfliteModel.from_bytes(float_content)
        self.model = TfliteModel.from_bytes(content)
        pair(self.float_model, self.model)  # refuses what cannot belong together, before it runs
        self.samples = whole_batches(samples, self.model)
        float_runner = Runner(float_content, "the float model")
        self.float_values = float_runner.tensors(quantize_inputs(self.float_model, self.samples))
        self.codes = Runner(content, "the file").tensors(quantize_inputs(self.model, self.samples))
        self.pairs = pair(self.float_model, self.model, self._correlation)
        self.twins = {one.file_index: one.float_index for one in self.pairs}
        self.truths = {one.file_index: self._truth(one) for one in self.pairs}
        self.steps = steps_of(self.float_model, self.model, self.pairs)
        self.bench = Workbench(self.float_model, self.model, self.truths)
        if not self.bench.final:
            raise UnsupportedModelError(
                "No output of the file has a counterpart in the float model. Give the model that "
                "the file was made from."
            )

    def step_to(self, tensor_index: int) -> Step | None:
        """The step that writes a tensor of the file."""
        return next((step for step in self.steps if step.output == tensor_index), None)

    def reals(self, tensor_index: int) -> np.ndarray:
        """What a run of the whole file gives in a tensor, as real values."""
        return reals_of(self.codes[tensor_index], self.model.tensors[tensor_index])

    def final_noise(self) -> float:
        """Noise over signal at the end, before softmax; the mean over the final tensors."""
        ratios = []
        for index in self.bench.final:
            if index in self.truths:
                power = Power()
                power.add(self.truths[index], self.reals(index))
                ratios.append(power.noise / power.signal if power.signal else power.noise)
        return float(np.mean(ratios)) if ratios else 0.0

    def rounded_inputs(self, step: Step) -> dict[int, np.ndarray]:
        """The float model's values as the file stores them, for each input of a step."""
        return {
            index: codes_of(self.truths[index], self.model.tensors[index])
            for index in step.file.inputs
        }

    def own_output(self, step: Step) -> np.ndarray | None:
        """Real values that the step gives when fed the float model's inputs."""
        stored = self.bench.stored(step, self.rounded_inputs(step))
        return None if stored is None else reals_of(stored, self.model.tensors[step.output])

    def _truth(self, one: TensorPair) -> np.ndarray:
        values = self.float_values[one.float_index]
        return values.reshape(-1, *self.model.tensors[one.file_index].shape)

    def _correlation(self, index: int, twin: int) -> float | None:
        codes, truth = self.codes.get(index), self.float_values.get(twin)
        if codes is None or truth is None or codes.size != truth.size:
            return None
        return correlation(reals_of(codes, self.model.tensors[index]), truth)


def whole_batches(samples: Samples, model: TfliteModel) -> Samples:
    """The samples that fill the file's batches.

    Raises:
        InvalidDataError: not even one.
    """
    batch = (model.tensors[model.inputs[0]].shape or (1,))[0] or 1
    count = len(samples) // batch * batch
    if not count:
        raise InvalidDataError(
            f"{samples.source} holds {len(samples)} samples; a diagnosis needs at least {batch}."
        )
    return samples.head(count)


def layer_errors(
    float_content: bytes,
    int8_content: bytes,
    samples: Samples,
    on_progress: OnProgress | None = None,
) -> tuple[LayerError, ...]:
    """Measure every op of a file against its float model.

    Args:
        float_content: The float file.
        int8_content: The quantized file.
        samples: Real inputs by name; 64 are enough.
        on_progress: Called with what is being done, how much is done and how much there is.

    Returns:
        Graph inputs that the file quantizes, then one entry for each op that has a float
        counterpart, in the file's order.

    Raises:
        UnsupportedModelError: the two have other inputs or outputs.
    """
    return measure(Comparison(float_content, int8_content, samples), on_progress).layers


@dataclass(frozen=True)
class Measurement:
    """All figures of a comparison.

    Attributes:
        layers: As `layer_errors` gives them.
        added: What each op adds to its inputs' error, as real values, by the file's tensor index.
        added_db: SQNR of what each op adds to its inputs' error, by the file's tensor index; None
            for nothing. Ops that cannot be run alone are missing.
        total_noise: Final noise over signal.
    """

    layers: tuple[LayerError, ...]
    added: dict[int, np.ndarray]
    added_db: dict[int, float | None]
    total_noise: float


def measure(comparison: Comparison, on_progress: OnProgress | None = None) -> Measurement:
    """`layer_errors` of a comparison that exists already, with what they rest on."""
    tell = on_progress or (lambda step, done, of: None)
    nodes = list(_nodes(comparison))
    added: dict[int, np.ndarray] = {}
    own: dict[int, float | None] = {}
    for done, (index, step) in enumerate(nodes):
        tell("measuring each op", done, len(nodes))
        own[index], error = _own(comparison, index, step)
        if error is not None:
            added[index] = error
    shares = Shares(
        comparison.bench,
        comparison.steps,
        comparison.codes,
        comparison.truths,
        added,
        SHARE_SAMPLES,
    )
    errors = []
    for done, (index, step) in enumerate(nodes):
        tell("sharing out the final error", done, len(nodes))
        errors.append(_layer_error(comparison, index, step, own[index], shares))
    truths = comparison.truths
    added_db = {i: sqnr(truths[i], truths[i] + error) for i, error in added.items()}
    return Measurement(tuple(errors), added, added_db, shares.total)


def _layer_error(
    comparison: Comparison, index: int, step: Step | None, own: float | None, shares: Shares
) -> LayerError:
    tensor, truth = comparison.model.tensors[index], comparison.truths[index]
    codes = comparison.codes[index]
    ideal = None
    if tensor.quantization is not None:
        ideal = ideal_sqnr_db(truth, steps_of_dtype(tensor.dtype))
    return LayerError(
        op_index=-1 if step is None else step.op.index,
        op_name=INPUT if step is None else step.op.name,
        tensor_index=index,
        tensor_name=tensor.name,
        float_index=comparison.twins[index],
        own_sqnr_db=own,
        inherited_sqnr_db=sqnr(truth, reals_of(codes, tensor)),
        ideal_sqnr_db=ideal,
        stored_sqnr_db=sqnr(truth, rounded_to(truth, tensor.quantization, codes.dtype)),
        alone_sqnr_db=shares.alone_sqnr_db(index),
        share_of_final_error=shares.share(index),
    )


def steps_of_dtype(dtype: str) -> int:
    """Steps between the least and the greatest stored value."""
    low, high = STORED_RANGES.get(dtype, (-128, 127))
    return high - low


def sqnr(truth: np.ndarray, other: np.ndarray) -> float | None:
    """SQNR in dB; None without noise."""
    power = Power()
    power.add(truth, other)
    return power.sqnr_db


def _nodes(comparison: Comparison) -> Iterator[tuple[int, Step | None]]:
    for index in comparison.model.inputs:
        if comparison.model.tensors[index].quantization is not None:
            yield index, None
    for step in comparison.steps:
        yield step.output, step


def _own(
    comparison: Comparison, index: int, step: Step | None
) -> tuple[float | None, np.ndarray | None]:
    """The own SQNR, and the error that is not there in the inputs yet."""
    tensor, truth = comparison.model.tensors[index], comparison.truths[index]
    if step is None:
        stored = reals_of(codes_of(truth, tensor), tensor)
        return sqnr(truth, stored), stored - truth
    inputs = comparison.rounded_inputs(step)
    codes = comparison.bench.stored(step, inputs)
    if codes is None:
        return None, None
    given = reals_of(codes, tensor)
    reals = {i: reals_of(c, comparison.model.tensors[i]) for i, c in inputs.items()}
    exact = comparison.bench.real(step, reals)
    return sqnr(truth, given), None if exact is None else given - exact
