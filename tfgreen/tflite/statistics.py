"""What the activations of a float file look like on the calibration data.

One pass of the float file with every tensor preserved gives, for each activation and each run,
the minimum, the maximum and a fixed-size sample of the values. Ranges for any subset of the runs
follow from it without another pass, which is what makes cross-validation cheap.

The optimised kernels without delegates are used: a delegate does not materialise the tensors in
between, and without `experimental_preserve_all_tensors` their bytes are stale.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfgreen.errors import InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.patches import patch_sampler

_VALUES_PER_RUN = 1024


@dataclass(frozen=True)
class ActivationStatistics:
    """Minimum, maximum and sampled values of each float activation, run by run.

    `minimum` and `maximum` have the shape (tensors, runs); `values[i]` has (runs, k), k being at
    most 1,024 values of tensor `names[i]`, drawn at positions that are the same in every process.
    `patches[op index]` holds (runs, rows, ...) input rows of an op with weights; `sums` names the
    float summands and the result of every ADD.

    >>> one = ActivationStatistics(("a",), np.array([[0.0, -1.0]]), np.array([[2.0, 1.0]]),
    ...                            (np.array([[0.0, 2.0], [-1.0, 1.0]]),))
    >>> one.extremes("a"), one.subset([0]).extremes("a")
    ((-1.0, 2.0), (0.0, 2.0))
    """

    names: tuple[str, ...]
    minimum: np.ndarray
    maximum: np.ndarray
    values: tuple[np.ndarray, ...]
    patches: Mapping[int, np.ndarray] = field(default_factory=dict)
    sums: tuple[tuple[tuple[str, ...], str], ...] = ()

    @property
    def runs(self) -> int:
        """How many runs the statistics come from."""
        return int(self.minimum.shape[1])

    def subset(self, runs: Sequence[int]) -> ActivationStatistics:
        """The statistics of some of the runs."""
        chosen = np.asarray(runs, dtype=np.int64)
        return ActivationStatistics(
            self.names,
            self.minimum[:, chosen],
            self.maximum[:, chosen],
            tuple(values[chosen] for values in self.values),
            {op: rows[chosen] for op, rows in self.patches.items()},
            self.sums,
        )

    def extremes(self, name: str) -> tuple[float, float]:
        """The smallest and the largest value that the tensor took."""
        row = self.names.index(name)
        return float(self.minimum[row].min()), float(self.maximum[row].max())


def collect_statistics(
    float_content: bytes,
    inputs: Sequence[np.ndarray],
    on_run: Callable[[int, int], None] | None = None,
) -> ActivationStatistics:
    """Run a float file on the calibration data and note what each activation does.

    `inputs` holds one array for each graph input, in graph order, of shape (runs, *tensor shape).
    Raises InvalidDataError when an activation is not finite: ranges cannot come from that.
    """
    model = TfliteModel.from_bytes(float_content)
    tensors = _float_activations(model)
    positions = [_positions(int(np.prod(model.tensors[t].shape))) for t in tensors]
    runs = len(inputs[0])
    minimum = np.empty((len(tensors), runs), np.float32)
    maximum = np.empty((len(tensors), runs), np.float32)
    values = tuple(np.empty((runs, len(p)), np.float32) for p in positions)
    samplers = [found for op in model.ops if (found := patch_sampler(model, op, runs))]
    patches: dict[int, list[np.ndarray]] = {sampler.op.index: [] for sampler in samplers}
    invoke = preserving_interpreter(float_content, model)
    for run in range(runs):
        read = invoke([array[run] for array in inputs])
        for row, tensor in enumerate(tensors):
            flat = read(tensor).reshape(-1)
            minimum[row, run], maximum[row, run] = flat.min(), flat.max()
            values[row][run] = flat[positions[row]]
        for sampler in samplers:
            patches[sampler.op.index].append(sampler.take(read(sampler.op.inputs[0])))
        if on_run is not None:
            on_run(run + 1, runs)
    names = tuple(model.tensors[t].name for t in tensors)
    _refuse_infinite(names, minimum, maximum)
    rows = {op: np.stack(taken) for op, taken in patches.items()}
    return ActivationStatistics(names, minimum, maximum, values, rows, _sums(model, set(names)))


def _float_activations(model: TfliteModel) -> list[int]:
    produced = [index for op in model.ops for index in op.outputs]
    return [
        index
        for index in dict.fromkeys([*model.inputs, *produced])
        if model.tensors[index].dtype == "float32" and np.prod(model.tensors[index].shape) > 0
    ]


def _sums(model: TfliteModel, known: Collection[str]) -> tuple[tuple[tuple[str, ...], str], ...]:
    found = []
    for op in model.ops:
        if op.name == "ADD" and model.tensors[op.outputs[0]].name in known:
            names = (model.tensors[index].name for index in op.inputs)
            summands = tuple(name for name in names if name in known)
            found.append((summands, model.tensors[op.outputs[0]].name))
    return tuple(found)


def _positions(size: int) -> np.ndarray:
    if size <= _VALUES_PER_RUN:
        return np.arange(size)
    return np.sort(np.random.default_rng(size).choice(size, _VALUES_PER_RUN, replace=False))


def preserving_interpreter(
    content: bytes, model: TfliteModel
) -> Callable[[Sequence[np.ndarray]], Callable[[int], np.ndarray]]:
    """A call that runs a file on one array an input, and then reads any tensor by its index."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    interpreter.allocate_tensors()

    def invoke(arrays: Sequence[np.ndarray]) -> Callable[[int], np.ndarray]:
        for index, array in zip(model.inputs, arrays, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return interpreter.get_tensor

    return invoke


def _refuse_infinite(names: Sequence[str], minimum: np.ndarray, maximum: np.ndarray) -> None:
    bad = ~(np.isfinite(minimum) & np.isfinite(maximum))
    if bad.any():
        row, run = (int(i) for i in np.argwhere(bad)[0])
        raise InvalidDataError(
            f"The float model gives NaN or infinity in tensor '{names[row]}' on calibration run "
            f"{run}. Ranges need finite values: check the model's weights and the data."
        )
