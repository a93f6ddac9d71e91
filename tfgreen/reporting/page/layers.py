"""The file op by op: what the certificate found out about each, and where the noise comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from tfgreen.encodings import plain
from tfgreen.flatbuffer import Op, TfliteModel, logits
from tfgreen.inspection.records import OpFacts, TfliteInspection
from tfgreen.preprocess import STORED_RANGES
from tfgreen.reporting.page.record import Culprit, KernelCell, LayerLine
from tfgreen.targets.layer_names import layers_of
from tfgreen.verification.certificate import Certificate, LayerFidelity, TensorSaturation

_HALF = 0.5
_FEWEST_LAYERS = 2


def layer_lines(
    model: TfliteModel, inspection: TfliteInspection, certificate: Certificate
) -> tuple[LayerLine, ...]:
    """Every op in the file's order, `model` being the file with plain weights."""
    fidelity = {layer.tensor: layer for layer in certificate.layers}
    saturation = {one.tensor: one for one in certificate.saturation}
    kernels: dict[int, dict[str, KernelCell]] = {}
    for result in certificate.kernels:
        cell = KernelCell(
            status=result.status, max_quanta=result.max_quanta, message=result.message
        )
        kernels.setdefault(result.op_index, {})[result.kernel_set] = cell
    return tuple(
        _line(model, op, layer, facts, fidelity, saturation, kernels.get(op.index, {}))
        for op, layer, facts in zip(model.ops, layers_of(model), inspection.ops, strict=True)
    )


def _line(
    model: TfliteModel,
    op: Op,
    layer: str | None,
    facts: OpFacts,
    fidelity: Mapping[str, LayerFidelity],
    saturation: Mapping[str, TensorSaturation],
    kernels: dict[str, KernelCell],
) -> LayerLine:
    names = [model.tensors[index].name for index in op.outputs]
    compared = [fidelity[name] for name in names if name in fidelity]
    worst = min(compared, key=_ratio, default=None)
    filled = next((saturation[name] for name in names if name in saturation), None)
    low, high = _range(facts)
    return LayerLine(
        index=op.index,
        op=facts.op,
        tensor=facts.tensor,
        layer=layer,
        dtype=facts.dtype,
        shape=facts.shape,
        macs=facts.macs,
        weights=facts.parameters,
        zero_share=facts.sparsity,
        stored_bytes=facts.size_bytes,
        is_compared=worst is not None,
        is_exact=worst is not None and worst.sqnr_db is None,
        sqnr_db=worst.sqnr_db if worst else None,
        ideal_sqnr_db=worst.ideal_sqnr_db if worst else None,
        range_low=low,
        range_high=high,
        lowest_share=filled.lowest_share if filled else None,
        highest_share=filled.highest_share if filled else None,
        clipped_share=filled.clipped_share if filled else None,
        headroom_bits=filled.headroom_bits if filled else None,
        kernels=kernels,
    )


def _ratio(layer: LayerFidelity) -> float:
    return math.inf if layer.sqnr_db is None else layer.sqnr_db


def _range(facts: OpFacts) -> tuple[float | None, float | None]:
    ends = STORED_RANGES.get(facts.dtype)
    if ends is None or facts.scale is None or facts.zero_point is None:
        return None, None
    low, high = (facts.scale * (end - facts.zero_point) for end in ends)
    return low, high


def first_culprit(model: TfliteModel, lines: Sequence[LayerLine]) -> Culprit | None:
    """The first op, on the way to the noisiest output, that alone adds half of the most noise.

    Noise is its power against the signal's, 10 ** (-SQNR / 10), from the certificate's own SQNRs;
    the most noise is that of the noisiest tensor on the way. The way goes backwards from the
    output through the input whose SQNR is nearest to that of what is made of it: so much noise
    came with it. None where no op adds half: there the noise grows evenly. None without SQNRs.
    """
    known = {line.index: line.sqnr_db for line in lines if line.sqnr_db is not None}
    ends = [op.index for index in logits(model) if (op := _known(model, index, known))]
    if not ends or len(known) < _FEWEST_LAYERS:
        return None
    way = list(_way(model, min(ends, key=lambda index: known[index]), known))
    most = max(_noise(known[index]) for index, _ in way)
    for index, before in reversed(way):
        brought = 0.0 if before is None else _noise(before)
        if _noise(known[index]) - brought >= _HALF * most:
            return _culprit(lines[index], known[index], before)
    return None


def _culprit(line: LayerLine, sqnr_db: float, before: float | None) -> Culprit:
    comes = "starts" if before is None else f"comes from {before:.1f} dB and leaves"
    return Culprit(
        index=line.index,
        name=line.name,
        op=line.op,
        sqnr_db=sqnr_db,
        fed_sqnr_db=before,
        message=f"{line.op} '{line.name}' {comes} with {sqnr_db:.1f} dB.",
    )


def _way(
    model: TfliteModel, index: int, known: Mapping[int, float]
) -> Iterator[tuple[int, float | None]]:
    """From an op back to the input: (op index, SQNR of what it was fed; None at the start)."""
    while True:
        writers = (_known(model, tensor, known) for tensor in model.ops[index].inputs)
        fed = [op.index for op in writers if op is not None and op.index < index]
        if not fed:
            yield index, None
            return
        before = min(fed, key=lambda one: abs(known[one] - known[index]))
        yield index, known[before]
        index = before


def _known(model: TfliteModel, tensor: int, known: Mapping[int, float]) -> Op | None:
    """The op that wrote a tensor; where its noise was not compared, the one before it."""
    op = model.producer(tensor) if tensor >= 0 else None
    while op is not None and op.index not in known:
        tensor = next((i for i in op.inputs if i >= 0 and model.producer(i)), -1)
        op = model.producer(tensor) if tensor >= 0 else None
    return op


def _noise(sqnr_db: float) -> float:
    return float(10.0 ** (-sqnr_db / 10.0))


def plain_model(content: bytes) -> TfliteModel:
    """The file with plain weights, whose ops the certificate counts."""
    return plain(TfliteModel.from_bytes(content))
