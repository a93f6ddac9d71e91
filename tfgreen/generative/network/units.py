"""What can be taken out of a decoder: heads of attention, neurons of feed-forward layers.

Both are units of the same form: some layers make a unit's values, nobody else looks at them, and
one matrix, the closing one, adds them to the rest. Without its rows of that matrix a unit is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from tfgreen.compression.selection import PlacedLayer, placed_layers
from tfgreen.generative.network.attention import CausalSelfAttention
from tfgreen.models.bridge.nodes import graph_of, needed_nodes, recorded_arguments, tensors_in

Cuts = list[tuple[Any, int, np.ndarray]]
"""(variable, axis, indices): the entries along this axis that stay."""

_BY_NEURON = frozenset(
    {
        "Activation", "Dropout", "ELU", "Gelu", "LeakyReLU", "Multiply", "ReLU", "Relu",
        "Sigmoid", "Silu", "Softplus", "Tanh",
    }
)  # fmt: skip
_MIXING_ACTIVATIONS = ("softmax", "log_softmax", "sparsemax", "glu")


class Units(Protocol):
    """The units of one layer."""

    @property
    def placed(self) -> PlacedLayer:
        """The layer that they are named after."""

    @property
    def noun(self) -> str:
        """ "heads" or "neurons"."""

    @property
    def closing(self) -> Any:
        """The Dense layer whose kernel has `size` rows for each of the units."""

    @property
    def size(self) -> int:
        """Values of a unit."""

    @property
    def count(self) -> int:
        """How many there are."""

    def chosen(self, scores: np.ndarray, wanted: int) -> np.ndarray:
        """The units that stay, ascending: the best by score (count,), about `wanted` of them."""

    def cuts(self, kept: np.ndarray) -> Cuts:
        """What stays of which variable."""

    def changes(self, kept: np.ndarray) -> Iterator[tuple[Any, dict[str, int]]]:
        """Layers that become smaller, with what changes in their config."""


@dataclass(frozen=True)
class Heads:
    """The query heads of an attention layer."""

    placed: PlacedLayer
    noun = "heads"

    @property
    def layer(self) -> CausalSelfAttention:
        """The attention layer."""
        return self.placed.layer  # type: ignore[no-any-return]

    @property
    def closing(self) -> Any:
        """Its output projection."""
        return self.layer.output_projection

    @property
    def size(self) -> int:
        """Values of a head."""
        return self.layer.key_size

    @property
    def count(self) -> int:
        """Query heads."""
        return self.layer.heads

    def chosen(self, scores: np.ndarray, wanted: int) -> np.ndarray:
        """As many of every group that stays.

        Of the numbers of groups and of heads in each that come nearest to `wanted`, those with
        the fewest groups: a group takes its keys and values along, also out of the cache.
        """
        groups, size = self.layer.kv_heads, self.layer.heads // self.layer.kv_heads
        shapes = [(n, m) for n in range(1, groups + 1) for m in range(1, size + 1)]
        some, each = min(shapes, key=lambda shape: (abs(shape[0] * shape[1] - wanted), shape[0]))
        by_group = scores.reshape(groups, size)
        heads = np.argsort(-by_group, axis=1, kind="stable")[:, :each]
        totals = np.take_along_axis(by_group, heads, axis=1).sum(axis=1)
        best = np.argsort(-totals, kind="stable")[:some]
        return np.sort((best[:, None] * size + heads[best]).reshape(-1))

    def cuts(self, kept: np.ndarray) -> Cuts:
        """Columns of queries, keys and values, rows of the output."""
        layer = self.layer
        queries, pairs = self._values(kept), self._values(self._groups(kept))
        found = _columns(layer.query, queries)
        found += _columns(layer.key, pairs) + _columns(layer.value, pairs)
        return [*found, (layer.output_projection.kernel, 0, queries)]

    def changes(self, kept: np.ndarray) -> Iterator[tuple[Any, dict[str, int]]]:
        """Fewer heads."""
        yield self.layer, {"heads": len(kept), "kv_heads": len(self._groups(kept))}

    def _groups(self, kept: np.ndarray) -> np.ndarray:
        return np.unique(kept // (self.layer.heads // self.layer.kv_heads))

    def _values(self, heads: np.ndarray) -> np.ndarray:
        return (heads[:, None] * self.size + np.arange(self.size)).reshape(-1)


@dataclass(frozen=True)
class Neurons:
    """The neurons between the layers that open a feed-forward layer and the one that closes it.

    opening: one Dense layer, or with a gate two whose outputs are multiplied.
    """

    placed: PlacedLayer
    opening: tuple[Any, ...]
    closing: Any
    noun = "neurons"
    size = 1

    @property
    def count(self) -> int:
        """Neurons."""
        return int(self.closing.kernel.shape[0])

    def chosen(self, scores: np.ndarray, wanted: int) -> np.ndarray:
        """The best."""
        return np.sort(np.argsort(-scores, kind="stable")[:wanted])

    def cuts(self, kept: np.ndarray) -> Cuts:
        """Columns of what opens, rows of what closes."""
        found = [cut for layer in self.opening for cut in _columns(layer, kept)]
        return [*found, (self.closing.kernel, 0, kept)]

    def changes(self, kept: np.ndarray) -> Iterator[tuple[Any, dict[str, int]]]:
        """Fewer neurons."""
        for layer in self.opening:
            yield layer, {"units": len(kept)}


def units_of(model: Any) -> list[Units]:
    """All units of a functional or sequential decoder, nested models included, layer by layer."""
    placed = {id(one.layer): one for one in placed_layers(model)}
    neurons = {
        id(one.placed.layer): one
        for functional in _graphs(model)
        for one in _feed_forwards(functional, placed)
    }
    found: list[Units] = []
    for key, place in placed.items():
        if isinstance(place.layer, CausalSelfAttention):
            found.append(Heads(place))
        elif key in neurons:
            found.append(neurons[key])
    return found


def _columns(layer: Any, kept: np.ndarray) -> Cuts:
    found: Cuts = [(layer.kernel, 1, kept)]
    return found if layer.bias is None else [*found, (layer.bias, 0, kept)]


def _graphs(model: Any) -> Iterator[Any]:
    yield graph_of(model)
    for layer in model.layers:
        if isinstance(layer, keras.Model) and hasattr(layer, "layers"):
            yield from _graphs(layer)


def _feed_forwards(functional: Any, placed: dict[int, PlacedLayer]) -> Iterator[Neurons]:
    nodes = needed_nodes(functional, recorded_arguments)
    makers = {id(tensor): node for node in nodes for tensor in node.outputs}
    users: dict[int, list[Any]] = defaultdict(list)
    for node in nodes:
        for tensor in tensors_in(recorded_arguments(node)):
            users[id(tensor)].append(node)
    outputs = {id(tensor) for tensor in functional.outputs}
    for node in nodes:
        if not _is_dense(node):
            continue
        opening = _opening(node, makers, users, outputs)
        if opening:
            yield Neurons(placed[id(opening[0])], opening, node.operation)


def _opening(
    closing: Any, makers: dict[int, Any], users: dict[int, list[Any]], outputs: set[int]
) -> tuple[Any, ...]:
    """The Dense layers from which neuron for neuron the input of `closing` comes; () if none."""
    width = int(closing.operation.kernel.shape[0])
    inside, opening = {id(closing)}, []
    tensors, waiting = [], tensors_in(recorded_arguments(closing))
    while waiting:
        tensor = waiting.pop()
        node = makers.get(id(tensor))
        if node is None or tensor.shape[-1] != width:
            return ()
        if id(node) in inside:
            continue
        inside.add(id(node))
        tensors += node.outputs
        if _is_dense(node):
            opening.append(node.operation)
        elif _works_by_neuron(node.operation):
            waiting += tensors_in(recorded_arguments(node))
        else:
            return ()
    seen_elsewhere = any(
        id(one) in outputs or any(id(user) not in inside for user in users[id(one)])
        for one in tensors
    )
    return () if seen_elsewhere else tuple(opening[::-1])


def _is_dense(node: Any) -> bool:
    """Whether the call is that of a Dense layer which is called nowhere else."""
    layer = node.operation
    is_alone = type(layer) is keras.layers.Dense and len(layer._inbound_nodes) == 1
    return is_alone and _activation(layer) not in _MIXING_ACTIVATIONS


def _works_by_neuron(operation: Any) -> bool:
    return type(operation).__name__ in _BY_NEURON and (
        _activation(operation) not in _MIXING_ACTIVATIONS
    )


def _activation(layer: Any) -> str:
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))
