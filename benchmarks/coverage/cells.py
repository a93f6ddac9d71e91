"""What is tried with each network: one function a column, with its proof.

A column works only if what it gave was checked here, independently of what the technique itself
says: zeros and values are counted in the weights, and outputs compared on held-back samples. A
refusal is an error of tfgreen. Everything else is a failure, and told as one.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.coverage.conditioning import Task, conditioned
from benchmarks.coverage.records import COLUMNS, Cell
from benchmarks.coverage.zoo import Row
from tfgreen.errors import TfgreenError
from tfgreen.wording import share_text

if TYPE_CHECKING:
    from tfgreen.verification import Certificate

PROFILE = "mobile-int8"
SPARSITY = 0.5
CLUSTERS = 8
EQUAL = 1e-5
EQUAL_IN_64_BITS = 1e-12
# float16 has 11 bits; the flavours round intermediate values in different places.
EQUAL_IN_16_BITS = 4 * 2.0**-10
LEAST_DB = 10.0
"""As the export gates: less SQNR than this is not the same function any more."""

_STEPS, _BATCH = 4, 4


class CheckFailedError(Exception):
    """What a technique gave is not what it says."""


@dataclass(frozen=True)
class Bench:
    """One network on its way through the columns; what two of them need is made once."""

    row: Row

    @cached_property
    def task(self) -> Task:
        """The network with its data."""
        return conditioned(self.row)

    @cached_property
    def rounding(self) -> Rounding:
        """The network after quantization-aware training."""
        return _trained_with_rounding(self)

    @cached_property
    def tolerance(self) -> float:
        """How far equal outputs may lie apart, as a share of the largest value."""
        layers = self.task.model._flatten_layers(include_self=False, recursive=True)
        is_mixed = any(layer.compute_dtype != layer.variable_dtype for layer in layers)
        return EQUAL_IN_16_BITS if is_mixed else EQUAL

    @cached_property
    def expected(self) -> list[np.ndarray]:
        """What the network itself answers to the held-back samples."""
        return self.outputs(self.task.model)

    def outputs(self, model: Any) -> list[np.ndarray]:
        """What a model of either Keras answers to the held-back samples, in output order."""
        given = model(self.task.given(self.task.held_back), training=False)
        if isinstance(given, Mapping):
            given = [given[name] for name in self.task.model.output_names]
        outputs = given if isinstance(given, list | tuple) else [given]
        arrays = [np.asarray(output) for output in outputs]
        return [one if one.dtype == np.float64 else one.astype(np.float32) for one in arrays]

    def fit(self, wrapped: Any) -> None:
        """A short training: enough for every schedule to end."""
        x, y = self.task.training_data(_STEPS * _BATCH)
        wrapped.fit(x, y, batch_size=_BATCH, verbose=0)


@dataclass(frozen=True)
class Rounding:
    """A network in quantization-aware training, before and after."""

    at_first: list[np.ndarray]
    in_training: list[np.ndarray]
    finished: Any
    report: Any


def bridge(bench: Bench) -> dict[str, float]:
    """There and back: equal outputs on tf_keras, equal weights and outputs on Keras 3 again."""
    from tfgreen.models.bridge import to_keras2, to_keras3

    model = bench.task.model
    twin = to_keras2(model)
    difference = _difference(bench.expected, bench.outputs(twin))
    again = to_keras3(twin, model)
    if difference > bench.tolerance:  # two hundred layers deep, float32 rounds as much as that
        exact = _in_float64(model)
        difference_in_64 = _difference(bench.outputs(exact), bench.outputs(to_keras2(exact)))
        _require(
            difference_in_64 <= EQUAL_IN_64_BITS,
            f"the twin's outputs differ by {difference:.2g}, in float64 by {difference_in_64:.2g}",
        )
    _require(_weights(again) == _weights(model), "the weights changed on the way back")
    way_back = _difference(bench.expected, bench.outputs(again))
    _require(way_back <= bench.tolerance, f"after the way back outputs differ by {way_back:.2g}")
    return {"difference": difference}


def _in_float64(model: Any) -> Any:
    import keras

    def again(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), "dtype": "float64"})

    exact = keras.models.clone_model(model, clone_function=again)
    exact.set_weights(model.get_weights())
    return exact


def prune_at_once(bench: Bench) -> dict[str, float]:
    """Without training: every kernel is w * (|w| >= t), bit for bit, and the rest as it was."""
    import tfgreen as tg

    model = bench.task.model
    kernels = [np.asarray(v) for v in model.trainable_variables if v.path.endswith("kernel")]
    threshold = float(np.median(np.abs(np.concatenate([k.ravel() for k in kernels]))))
    pruned = tg.prune(model, threshold=threshold)
    zeros = total = 0
    for before, after in zip(model.variables, pruned.variables, strict=True):
        ours, theirs = np.asarray(before), np.asarray(after)
        if before.path.endswith("kernel"):
            kept = ours * (np.abs(ours) >= np.float32(threshold))
            _require(np.array_equal(kept, theirs), f"'{before.path}' is not w * (|w| >= t)")
            zeros, total = zeros + int((theirs == 0).sum()), total + theirs.size
        elif not before.path.endswith(("embeddings", "seed_generator_state")):
            _require(np.array_equal(ours, theirs), f"'{before.path}' changed")
    return {"sparsity": zeros / total}


def prune(bench: Bench) -> dict[str, float]:
    """In training: the sparsity is in the weights, and the model computes what was trained."""
    import tfgreen as tg

    figures, kernels = _compressed(bench, tg.Pruning(sparsity=SPARSITY), "pruned")
    sparsity = float(np.mean(np.concatenate([array.ravel() for array in kernels]) == 0))
    _require(
        abs(sparsity - SPARSITY) < 0.01,
        f"the weights of pruned layers are {share_text(sparsity)} zeros",
    )
    return {"sparsity": sparsity, **figures}


def cluster(bench: Bench) -> dict[str, float]:
    """In training: few values in each kernel, and the model computes what was trained."""
    import tfgreen as tg

    figures, kernels = _compressed(bench, tg.Clustering(clusters=CLUSTERS), "clustered")
    values = max(len(np.unique(array)) for array in kernels)
    _require(values <= CLUSTERS, f"a clustered kernel has {values} values")
    return {"values": float(values), **figures}


def quantization_aware(bench: Bench) -> dict[str, float]:
    """It starts near the float model, and what is finalized computes what was trained."""
    rounding = bench.rounding
    at_first = _sqnr_db(bench.expected, rounding.at_first)
    _require(at_first >= LEAST_DB, f"before the first step it is {at_first:.1f} dB off the model")
    finished = _sqnr_db(rounding.in_training, bench.outputs(rounding.finished))
    _require(finished >= LEAST_DB, f"finalized, it is {finished:.1f} dB off what was trained")
    in_float = [one for one in rounding.report.layers if "after training" in one.reason]
    return {
        "start_db": at_first,
        "finished_db": finished,
        "layers": float(len(rounding.report.with_action("quantized"))),
        "after_training": float(len(in_float)),
    }


def export(bench: Bench) -> dict[str, float]:
    """Full int8 after training, through all gates."""
    return _exported(bench, bench.task.model)[0]


def export_as_trained(bench: Bench) -> dict[str, float]:
    """Full int8 of the quantization-aware model, through all gates, in quanta of its outputs."""
    figures, content = _exported(bench, bench.rounding.finished)
    return figures | _quanta(bench, content)


def _compressed(
    bench: Bench, technique: Any, action: str
) -> tuple[dict[str, float], list[np.ndarray]]:
    """Train with a technique, hold the outcome against what was trained; figures and kernels."""
    wrapped = technique.prepare(bench.task.model)
    bench.fit(wrapped)
    compressed = technique.finalize(wrapped)
    difference = _difference(bench.outputs(wrapped), bench.outputs(compressed))
    _require(difference <= bench.tolerance, f"finalized, outputs differ by {difference:.2g}")
    decisions = technique.report(wrapped).with_action(action)
    names = {one.layer.rsplit("/", 1)[-1] for one in decisions}
    figures = {"layers": float(len(decisions)), "difference": difference}
    return figures, list(_kernels(compressed, names))


def _trained_with_rounding(bench: Bench) -> Rounding:
    import tfgreen as tg

    technique = tg.QuantizationAwareTraining()
    calibration = bench.task.given(bench.task.calibration)
    wrapped = technique.prepare(bench.task.model, calibration=calibration)
    at_first = bench.outputs(wrapped)
    bench.fit(wrapped)
    in_training, finished = bench.outputs(wrapped), technique.finalize(wrapped)
    return Rounding(at_first, in_training, finished, technique.report(finished))


def _exported(bench: Bench, model: Any) -> tuple[dict[str, float], bytes]:
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.flatbuffer.facts import FLOAT_DTYPES
    from tfgreen.pipeline import ExportOptions, make_bundle
    from tfgreen.profile import load_profile

    task = bench.task
    options = ExportOptions(samples=bench.row.held_back)
    calibration, held_back = (dict(x) for x in (task.calibration, task.held_back))
    bundle = make_bundle(model, calibration, load_profile(PROFILE), held_back, options)
    _require(bundle.certificate.passed, _first_failure(bundle.certificate))
    file = TfliteModel.from_bytes(bundle.content)
    float_ops = sum(
        any(file.tensors[i].dtype in FLOAT_DTYPES for i in (*op.inputs, *op.outputs) if i >= 0)
        for op in file.ops
    )
    _require(not float_ops, f"{float_ops} float ops")
    sqnr_db = bundle.certificate.sqnr_db
    return {} if sqnr_db is None else {"sqnr_db": sqnr_db}, bundle.content


def _kernels(model: Any, layers: Collection[str]) -> Iterator[np.ndarray]:
    """The kernels of layers of these names, nested ones too; depthwise ones are left alone."""
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if layer.name not in layers:
            continue
        for variable in layer.trainable_variables:
            name = variable.path.rsplit("/", 1)[-1]
            if name.endswith(("kernel", "embeddings")) and "depthwise" not in name:
                yield np.asarray(variable)


def _first_failure(certificate: Certificate) -> str:
    failed = [f"{check.gate} gate: {check.message}" for check in certificate.failed_checks]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{failed[0]}{more}" if failed else ""


def _quanta(bench: Bench, content: bytes) -> dict[str, float]:
    """The file on XNNPACK against the fake-quant model in Keras, in steps of the file's outputs."""
    from tfgreen.data import Samples
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.runtimes import Task as Run
    from tfgreen.runtimes import dequantize, quantize_inputs, run_tasks

    file = TfliteModel.from_bytes(content)
    inputs = quantize_inputs(file, Samples(dict(bench.task.held_back), {}, "held-back samples"))
    (outcome,) = run_tasks("xnnpack", [Run("coverage", content, inputs)], timeout_seconds=600)
    _require(outcome.ok, f"XNNPACK: {outcome.message}")
    expected = dict(
        zip(bench.task.model.output_names, bench.outputs(bench.rounding.finished), strict=True)
    )
    most, differing, total = 0.0, 0, 0
    for name, index, stored in zip(file.output_names, file.outputs, outcome.outputs, strict=True):
        quantization = file.tensors[index].quantization
        if quantization is None:
            raise CheckFailedError(f"output '{name}' is not quantized")
        given = dequantize(stored, quantization).reshape(expected[name].shape)
        steps = np.rint(np.abs(given - expected[name]) / quantization.scales[0])
        most = max(most, float(steps.max()))
        differing, total = differing + int((steps > 0).sum()), total + steps.size
    return {"max_quanta": most, "differing_share": differing / total}


def plain_tfmot(bench: Bench) -> dict[str, float]:
    """TensorFlow Model Optimization, called on the Keras 3 model as its own pages say."""
    from tfgreen.models.keras2 import model_optimization, tf_keras

    package = model_optimization()
    model = bench.task.model
    centroids = package.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS
    calls: dict[str, Callable[[], Any]] = {
        "prune": lambda: package.sparsity.keras.prune_low_magnitude(model),
        "cluster": lambda: package.clustering.keras.cluster_weights(
            model, number_of_clusters=CLUSTERS, cluster_centroids_init=centroids
        ),
        "qat": lambda: package.quantization.keras.quantize_model(model),
    }
    works = {}
    for name, call in calls.items():
        try:
            works[name] = float(isinstance(call(), tf_keras().Model))
        except (ValueError, TypeError, AttributeError, RuntimeError, AssertionError):
            works[name] = 0.0
    return works


_FUNCTIONS: dict[str, Callable[[Bench], dict[str, float]]] = dict(
    zip(
        COLUMNS,
        (
            bridge,
            prune_at_once,
            prune,
            cluster,
            quantization_aware,
            export,
            export_as_trained,
            plain_tfmot,
        ),
        strict=True,
    )
)


def computed(bench: Bench, column: str) -> Cell:
    """One cell; an exception becomes a refusal or a failure, and the model must be unchanged."""
    before = _fingerprint(bench.task.model)
    try:
        figures = _FUNCTIONS[column](bench)
        _require(_fingerprint(bench.task.model) == before, "the caller's model was changed")
    except CheckFailedError as error:
        return Cell("failed", {}, str(error))
    except TfgreenError as error:
        return Cell("refused", {}, f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - whatever it is, the table has to tell it
        traceback.print_exc()
        first = (str(error).strip().splitlines() or [""])[0]
        return Cell("failed", {}, f"{type(error).__name__}: {first}"[:500])
    return Cell("works", figures, "")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise CheckFailedError(message)


def _fingerprint(model: Any) -> list[bytes]:
    return [np.asarray(variable).tobytes() for variable in model.variables]


def _weights(model: Any) -> list[bytes]:
    """Without the states of random number generators, which a new model has its own of."""
    return [np.asarray(variable).tobytes() for variable in model.weights]


def _difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest difference as a share of each output's largest value."""
    return max(
        float(np.abs(one - two).max() / np.abs(one).max())
        for one, two in zip(ours, theirs, strict=True)
    )


def _sqnr_db(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Signal-to-noise ratio in dB, of the worst output; at most 120."""
    ratios = [
        np.square(one, dtype=np.float64).sum()
        / max(np.square(one - two, dtype=np.float64).sum(), 1e-30)
        for one, two in zip(ours, theirs, strict=True)
    ]
    return min(120.0, 10 * float(np.log10(min(ratios))))
