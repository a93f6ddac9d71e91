"""Inputs and outputs of a Keras model, read from its config without building it.

Only what can be told for certain: anything unusual gives None, and the worker that builds the
model tells instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tfgreen.signature import InputSpec

_WRAPPERS_THAT_GO = frozenset({"PruneLowMagnitude", "ClusterWeights"})
_MODELS = frozenset({"Functional", "Model", "Sequential"})
_MAY_GIVE_SEVERAL = _MODELS | {"Bidirectional"}


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """The same names, repeated ones numbered from the second on.

    >>> unique_names(["state", "y", "state"])
    ('state', 'y', 'state_1')
    """
    seen: Counter[str] = Counter()
    result: list[str] = []
    for name in names:
        unique = f"{name}_{seen[name]}" if seen[name] else name
        seen[name] += 1
        result.append(unique)
    return tuple(result)


def inputs_of(config: Any) -> tuple[InputSpec, ...] | None:
    """The inputs in the model's own order, or None where the config does not tell them."""
    try:
        return _inputs(config)
    except (KeyError, TypeError, IndexError, AttributeError):
        return None


def outputs_of(config: Any) -> tuple[str, ...] | None:
    """Names of the outputs (keys of a dict of outputs, else layer names), or None."""
    try:
        return _outputs(config)
    except (KeyError, TypeError, IndexError, AttributeError):
        return None


def _inputs(config: Mapping[str, Any]) -> tuple[InputSpec, ...] | None:
    inner = config["config"]
    layers = {_name(layer): layer for layer in inner["layers"]}
    if config["class_name"] == "Sequential":
        names = [_name(inner["layers"][0])]
    elif config["class_name"] in _MODELS:
        names = [node[0] for node in _flat_nodes(inner["input_layers"])]
    else:
        return None
    if any(layers[name]["class_name"] != "InputLayer" for name in names):
        return None
    return tuple(_input_spec(name, layers[name]["config"]) for name in names)


def _input_spec(name: str, inner: Mapping[str, Any]) -> InputSpec:
    shape = inner["batch_shape"] if "batch_shape" in inner else inner["batch_input_shape"]
    sizes = shape["items"] if isinstance(shape, dict) else shape
    dtype = inner["dtype"]
    return InputSpec(name, tuple(sizes[1:]), dtype if isinstance(dtype, str) else _policy(dtype))


def _policy(dtype: Mapping[str, Any]) -> str:
    name: str = dtype["config"]["name"]
    if name.startswith("mixed"):
        raise TypeError(f"the dtype policy {name} is no dtype")
    return name


def _outputs(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    inner = config["config"]
    layers = {_name(layer): layer for layer in inner["layers"]}
    if any(layer["class_name"] in _WRAPPERS_THAT_GO for layer in layers.values()):
        return None
    if config["class_name"] == "Sequential":
        last = inner["layers"][-1]
        is_single = last["class_name"] not in _MAY_GIVE_SEVERAL
        return (_name(last),) if is_single and not last["config"].get("return_state") else None
    if config["class_name"] not in _MODELS:
        return None
    nodes = inner["output_layers"]
    if isinstance(nodes, dict):
        return tuple(sorted(nodes))
    return unique_names([node[0] for node in _flat_nodes(nodes)])


def _flat_nodes(nodes: Any) -> list[Sequence[Any]]:
    """`[name, node, tensor]` triples of any nesting, dicts in the order of their keys."""
    if isinstance(nodes, dict):
        return [node for key in sorted(nodes) for node in _flat_nodes(nodes[key])]
    if len(nodes) == 3 and isinstance(nodes[0], str):
        return [nodes]
    return [node for item in nodes for node in _flat_nodes(item)]


def _name(layer: Mapping[str, Any]) -> str:
    name = layer["config"].get("name") or layer["name"]
    if not isinstance(name, str):
        raise TypeError(f"a layer's name is {name!r}")
    return name
