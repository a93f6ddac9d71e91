"""What the gates run: the file's inputs, from the samples or, without any, made up by a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes import dequantize, quantize_inputs
from tfgreen.verification.certificate import SampleFacts
from tfgreen.verification.metrics import per_sample
from tfgreen.verification.quanta import is_exact

METRIC_SAMPLE_LIMIT = 2000
"""Most samples for metrics, agreement and the end-to-end runs; of more, evenly spaced ones."""

_SEED = 20


@dataclass(frozen=True)
class Workload:
    """Samples in the order in which the gates run them.

    Attributes:
        inputs: One (calls, *tensor shape) array per graph input, in the dtypes of the file.
        probed_calls: How many of the first calls also show their intermediates.
        batch: Samples in one call; there are calls * batch samples.
        samples: The same samples as float inputs by name; None if they were made up for a file
            with an input that does not count samples.
        labels: By output name or "y": labels of the samples from number `labelled_from` on.
        facts: Of the probed samples.
        metric_facts: Of the labelled (or further) samples; None if there are none.
    """

    inputs: tuple[np.ndarray, ...]
    probed_calls: int
    batch: int
    samples: Samples | None
    labelled_from: int
    facts: SampleFacts
    metric_facts: SampleFacts | None

    @classmethod
    def of(
        cls,
        model: TfliteModel,
        samples: Samples | None,
        metric_samples: Samples | None,
        sample_limit: int,
    ) -> Workload:
        """Choose and order the samples.

        Evenly spaced samples are taken: `sample_limit` of `samples` to be probed, then up to
        `METRIC_SAMPLE_LIMIT` of `metric_samples`, shuffled by a fixed seed, so that the first
        part of them favours no class. Where both are the same data, nothing runs twice.
        """
        batch = batch_of(model)
        probed = max(batch, sample_limit // batch * batch)
        if samples is None:
            samples = metric_samples
        if samples is None:
            calls = probed // batch
            inputs = random_inputs(model, calls)
            made_up = SampleFacts(count=probed, sha256=_hash(inputs), origin="random")
            real = _real_samples(model, inputs, batch)
            return cls(inputs, calls, batch, real, 0, made_up, None)
        rows = _rows(len(samples), probed, batch)
        probe = samples.take(rows)
        everything, labelled_from = probe, 0
        if metric_samples is not None and _same(samples, metric_samples):
            rest = np.setdiff1d(_rows(len(samples), METRIC_SAMPLE_LIMIT, 1), rows)
            everything = metric_samples.take(np.concatenate([rows, _shuffled(rest)]))
        elif metric_samples is not None:
            further = _shuffled(_rows(len(metric_samples), METRIC_SAMPLE_LIMIT, 1))
            everything = _joined(probe, metric_samples.take(further))
            labelled_from = len(probe)
        if len(everything) > batch:
            everything = everything.head(len(everything) // batch * batch)
        metric = everything.take(np.arange(labelled_from, len(everything)))
        return cls(
            inputs=quantize_inputs(model, everything),
            probed_calls=-(-len(probe) // batch),
            batch=batch,
            samples=everything,
            labelled_from=labelled_from,
            facts=_facts(probe),
            metric_facts=_facts(metric) if metric_samples is not None else None,
        )

    @property
    def calls(self) -> int:
        """Calls in all."""
        return len(self.inputs[0])

    @property
    def is_made_up(self) -> bool:
        """Whether the inputs come from a seed and not from the model's data."""
        return self.facts.origin == "random"


def _real_samples(model: TfliteModel, inputs: tuple[np.ndarray, ...], batch: int) -> Samples | None:
    """Made-up inputs as the float model takes them."""
    if any(array.ndim < 2 or array.shape[1] != batch for array in inputs):
        return None
    named = zip(model.input_names, model.inputs, inputs, strict=True)
    real = {
        name: array
        if is_exact(model, index)
        else dequantize(array, model.tensors[index].quantization)
        for name, index, array in named
    }
    return Samples({k: per_sample(v, batch) for k, v in real.items()}, source="a fixed seed")


def _facts(samples: Samples) -> SampleFacts:
    return SampleFacts(count=len(samples), sha256=samples.sha256(), origin="given")


def _same(first: Samples, second: Samples) -> bool:
    if first is second:
        return True
    names = set(first.inputs)
    return names == set(second.inputs) and all(
        np.array_equal(first.inputs[name], second.inputs[name]) for name in names
    )


def _rows(count: int, wanted: int, batch: int) -> np.ndarray:
    """Up to `wanted` evenly spaced row numbers of `count`, in whole batches if they fill one."""
    rows = np.round(np.linspace(0, count - 1, min(count, wanted))).astype(np.intp)
    return rows[: len(rows) // batch * batch or len(rows)]


def _shuffled(rows: np.ndarray) -> np.ndarray:
    return np.random.default_rng(_SEED).permutation(rows)


def _joined(first: Samples, second: Samples) -> Samples:
    """Both, one behind the other; with the second's labels behind as many blank ones."""
    if set(first.inputs) != set(second.inputs):
        raise InvalidDataError(
            f"{first.source} holds the inputs {', '.join(sorted(first.inputs))}, {second.source} "
            f"{', '.join(sorted(second.inputs))}. Name them alike, as the model does."
        )
    inputs = {
        name: np.concatenate([array, second.inputs[name]]) for name, array in first.inputs.items()
    }
    labels = {
        name: np.concatenate([np.zeros((len(first), *array.shape[1:]), array.dtype), array])
        for name, array in second.labels.items()
    }
    return Samples(inputs, labels, second.source, second.label_names)


def batch_of(model: TfliteModel) -> int:
    """Samples that the file takes in one call: the first dimension of its first input."""
    shape = model.tensors[model.inputs[0]].shape if model.inputs else ()
    return shape[0] if shape else 1


def random_inputs(model: TfliteModel, calls: int) -> tuple[np.ndarray, ...]:
    """The same made-up inputs for the same model: quantized ones over their dtype's full range."""
    rng = np.random.default_rng(_SEED)
    return tuple(_random(rng, model, index, calls) for index in model.inputs)


def _random(rng: np.random.Generator, model: TfliteModel, index: int, calls: int) -> np.ndarray:
    tensor = model.tensors[index]
    shape = (calls, *tensor.shape)
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if tensor.quantization is None and dtype.itemsize >= 4:
        return rng.integers(0, _id_limit(model, index), shape, dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _id_limit(model: TfliteModel, index: int) -> int:
    """Rows of the smallest table that an input of indices looks up; 2 if it looks up none."""
    tables: Sequence[int] = [
        model.tensors[table].shape[0]
        for op in model.consumers(index)
        for table in _looked_up(op.name, op.inputs)
        if model.tensors[table].shape
    ]
    return min(tables, default=2)


def _looked_up(op_name: str, inputs: tuple[int, ...]) -> tuple[int, ...]:
    if op_name == "EMBEDDING_LOOKUP":
        return inputs[1:2]
    return inputs[0:1] if op_name == "GATHER" else ()


def _hash(arrays: tuple[np.ndarray, ...]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
