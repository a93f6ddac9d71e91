"""Where a model is rounded in training: behind what the converter makes one op of, and only there.

The plan follows TFLite's 8-bit quantization specification. A ReLU and a BatchNormalization are
fused into the op before them, so the rounding comes behind both. Ops that move values keep the
steps of their input. Sigmoid, tanh and softmax have steps that the specification prescribes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tfgreen.models.keras2_graph import Graph, LayerCall
from tfgreen.models.known_classes import words
from tfgreen.models.qat_rewrites.activations import activation_name
from tfgreen.models.qat_rewrites.batch_normalization import FOLDED_BY_THE_CONVERTER

RoundingKind = Literal["learned", "prescribed"]
Layout = Literal["last", "depthwise", "transposed"]

# The kernel of each class, and where it has its output channels.
KERNELS: Mapping[str, tuple[str, Layout]] = {
    "Conv1D": ("kernel", "last"),
    "Conv2D": ("kernel", "last"),
    "Conv3D": ("kernel", "last"),
    "Dense": ("kernel", "last"),
    "DepthwiseConv1D": ("depthwise_kernel", "depthwise"),
    "DepthwiseConv2D": ("depthwise_kernel", "depthwise"),
    "Conv1DTranspose": ("kernel", "transposed"),
    "Conv2DTranspose": ("kernel", "transposed"),
}
_FUSES_RELU = frozenset(
    {"Conv1D", "Conv2D", "Dense", "DepthwiseConv1D", "DepthwiseConv2D", "Add", "Subtract"}
    | {"Multiply", "BatchNormalization", "SyncBatchNormalization"}
)
_NORMALIZATIONS = frozenset({"BatchNormalization", "SyncBatchNormalization"})
_MOVES = words(
    """
    ActivityRegularization AlphaDropout AveragePooling1D AveragePooling2D Cropping1D Cropping2D
    Cropping3D Dropout Flatten GaussianDropout GaussianNoise GlobalMaxPooling1D GlobalMaxPooling2D
    MaxPooling1D MaxPooling2D Permute RepeatVector Reshape SpatialDropout1D SpatialDropout2D
    SpatialDropout3D UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)
# Those of them that compute nothing with the values, so that rounding may as well come behind.
_PASSES = words("Dropout Flatten Permute Reshape SpatialDropout1D SpatialDropout2D")
_MOVING_OPERATIONS = words(
    """
    ExpandDims Flip GetItem Moveaxis Pad Reshape Repeat Squeeze Swapaxes Tile Transpose
    __operators__.getitem expand_dims identity pad repeat reshape slice squeeze strided_slice tile
    transpose
    """
)
_RECURRENT = frozenset({"RNN", "Bidirectional", "ConvLSTM", "ConvRNN"})
_LOOKUPS = frozenset({"Embedding", "Discretization", "CategoryEncoding", "Hashing"})


@dataclass(frozen=True)
class Rounding:
    """How one tensor is rounded: to steps that are learned, or to prescribed ones.

    low, high: the prescribed range.
    """

    kind: RoundingKind
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class LayerPlacement:
    """What is rounded at one layer.

    kernel: its name and layout; None without one. outputs: for each output of the layer how it is
    rounded, None for not at all. reason: why the outputs are not rounded.
    """

    kernel: tuple[str, Layout] | None
    outputs: tuple[Rounding | None, ...]
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """Placements by layer name, and the names of the inputs that are rounded."""

    layers: Mapping[str, LayerPlacement]
    inputs: frozenset[str]


def plan_rounding(graph: Graph, left_out: Mapping[str, str], activation_bits: int) -> Plan:
    """Plan a flat, rewritten model. left_out: layer names that are not to be rounded → reason."""
    placements: dict[str, LayerPlacement] = {}
    planner = _Planner(graph, activation_bits)
    for call in graph.calls:
        name = call.layer.name
        if name in placements:
            continue
        if name in left_out:
            nothing = (None,) * len(call.outputs)
            placements[name] = LayerPlacement(None, nothing, left_out[name])
        else:
            placements[name] = planner.place(call)
    return Plan(placements, planner.rounded_inputs())


class _Planner:
    def __init__(self, graph: Graph, activation_bits: int) -> None:
        self._graph, self._bits = graph, activation_bits

    def place(self, call: LayerCall) -> LayerPlacement:
        layer = call.layer
        nothing: tuple[Rounding | None, ...] = (None,) * len(call.outputs)
        if is_recurrent(layer):
            return LayerPlacement(None, nothing, "recurrent: quantized after training, from data")
        kernel = KERNELS.get(type(layer).__name__)
        if not any(_is_real(x) for x in call.outputs):
            return LayerPlacement(kernel, nothing, "gives whole numbers")
        if _moves(layer):
            return LayerPlacement(kernel, nothing, "moves values: the steps of its input stay")
        after = self._fused_after(call)
        if after is not None:
            return LayerPlacement(kernel, nothing, f"rounded behind '{after.layer.name}'")
        if prescribed := self._prescribed(layer):
            if self._ends_the_model(call):
                return LayerPlacement(kernel, nothing, "last op: its steps are prescribed")
            return LayerPlacement(kernel, (prescribed,))
        rounding = tuple(Rounding("learned") if _is_real(x) else None for x in call.outputs)
        return LayerPlacement(kernel, rounding)

    def rounded_inputs(self) -> frozenset[str]:
        """Real inputs, unless they are looked up as whole numbers."""
        return frozenset(
            tensor._keras_history.layer.name
            for tensor in self._graph.model.inputs
            if _is_real(tensor)
            and not any(
                type(reader.layer).__name__ in _LOOKUPS for reader in self._graph.readers(tensor)
            )
        )

    def _fused_after(self, call: LayerCall) -> LayerCall | None:
        """The layer behind that the converter makes one op with, or that joins steps."""
        if self._prescribed(call.layer) is None and (joined := self._always_joined(call.layer)):
            return joined
        after = self._graph.only_reader(call)
        if after is None or not self._graph.is_called_once(call.layer):
            return None
        kind, next_kind = type(call.layer).__name__, type(after.layer).__name__
        linear = activation_name(call.layer) in ("", "linear")
        if next_kind in _NORMALIZATIONS and kind in FOLDED_BY_THE_CONVERTER and linear:
            return after
        return after if kind in _FUSES_RELU and linear and is_fused_relu(after.layer) else None

    def _always_joined(self, layer: Any) -> LayerCall | None:
        """A concatenation behind a layer whose outputs all go into concatenations alone.

        What is joined needs equal steps, so it is rounded once, behind the concatenation.
        """
        joins = [self._join_behind(c) for c in self._graph.calls if c.layer is layer]
        return joins[-1] if all(join is not None for join in joins) else None

    def _join_behind(self, call: LayerCall) -> LayerCall | None:
        after = self._graph.only_reader(call)
        while after is not None and type(after.layer).__name__ in _PASSES:
            after = self._graph.only_reader(after)
        return after if after is not None and type(after.layer).__name__ == "Concatenate" else None

    def _prescribed(self, layer: Any) -> Rounding | None:
        kind, name = type(layer).__name__, activation_name(layer)
        name = "softmax" if kind == "Softmax" else name if kind == "Activation" else ""
        if name not in ("sigmoid", "softmax", "tanh"):
            return None
        if self._bits == 16:
            return Rounding("prescribed", -1.0, 32767 / 32768)
        return Rounding("prescribed", *((-1.0, 127 / 128) if name == "tanh" else (0.0, 255 / 256)))

    def _ends_the_model(self, call: LayerCall) -> bool:
        output = call.outputs[0]
        readers = self._graph.readers(output)
        if self._graph.is_result(output):
            return True
        return bool(readers) and all(
            _moves(reader.layer) and self._ends_the_model(reader) for reader in readers
        )


def is_recurrent(layer: Any) -> bool:
    """Whether it runs over steps of time, or holds a layer that does."""
    return any(base.__name__ in _RECURRENT for base in type(layer).__mro__)


def is_fused_relu(layer: Any) -> bool:
    """A ReLU that TFLite fuses into the op before: up to 6 or without end."""
    if type(layer).__name__ == "Activation":
        return activation_name(layer) == "relu"
    if type(layer).__name__ != "ReLU":
        return False
    slope, threshold = float(layer.negative_slope), float(layer.threshold)
    return slope == 0.0 and threshold == 0.0 and layer.max_value in (None, 6, 6.0)


def _moves(layer: Any) -> bool:
    kind = type(layer).__name__
    if kind in _MOVES or kind.startswith("Random"):
        return True
    if kind == "Activation":
        return activation_name(layer) == "linear"
    if kind == "Keras3Operation":
        return str(layer.get_config()["operation"]).rpartition(">")[2] in _MOVING_OPERATIONS
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        return str(layer.get_config()["function"]) in _MOVING_OPERATIONS
    return False


def _is_real(tensor: Any) -> bool:
    return bool(tensor.dtype.is_floating)
