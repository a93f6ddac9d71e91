"""Finding what a model's config would run, before anything is loaded.

A Keras config names classes and functions, and may carry Python bytecode. Here every name in it is
compared with those of Keras and TensorFlow Model Optimization; whatever else it holds is foreign
code. Nothing is imported or deserialized for that, only JSON is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tfgreen.errors import UnsafeModelError
from tfgreen.models import known_classes

# Settings of the model's own training, which is never resumed here: neither built nor loaded. Those
# of a model inside it are built with it.
_UNUSED_KEYS = frozenset({"compile_config", "training_config", "optimizer_config"})

# TensorFlow's own functions that a tf_keras graph may call by name: mathematics only.
_MATHEMATICAL_NAMESPACES = (
    "__operators__.",
    "bitwise.",
    "image.",
    "keras.activations.",
    "linalg.",
    "math.",
    "nn.",
    "quantization.",
    "random.",
    "signal.",
)
_TENSOR_SYMBOLS = known_classes.words(
    """
    abs acos add add_n argmax argmin argsort boolean_mask broadcast_to cast clip_by_norm
    clip_by_value concat constant convert_to_tensor cos cumsum divide einsum
    equal exp expand_dims eye fill floor gather gather_nd greater greater_equal identity less
    less_equal logical_and logical_not logical_or matmul maximum meshgrid minimum multiply
    negative norm not_equal one_hot ones ones_like pad pow range rank realdiv reduce_all
    reduce_any reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_sum repeat
    reshape reverse roll round scalar_mul shape sigmoid sign sin size slice sort split sqrt square
    squeeze stack stop_gradient strided_slice subtract tan tanh tensordot tile transpose truediv
    truncatediv truncatemod unstack where zeros zeros_like
    """
)


_FUNCTIONS: Mapping[str, Collection[str]] = {
    "builtins": known_classes.ACTIVATIONS | known_classes.LOSSES_AND_METRICS,
    "keras.activations": known_classes.ACTIVATIONS,
    "tf_keras.activations": known_classes.ACTIVATIONS,
}


@dataclass(frozen=True)
class ForeignCode:
    """One thing in a model file that would run code from outside Keras.

    kind "lambda" is bytecode in the file itself, "class" and "function" are names that somebody
    else must define, "op" is something that touches the machine.
    """

    kind: Literal["lambda", "class", "function", "op"]
    name: str
    layer: str = ""

    def __str__(self) -> str:
        where = f" in layer '{self.layer}'" if self.layer else ""
        return (
            f"{self.name}{where}" if self.kind == "lambda" else f"{self.kind} '{self.name}'{where}"
        )

    def is_defined_by(self, names: Collection[str]) -> bool:
        """Whether these custom objects explain it: by its full name or without the package."""
        if self.kind not in ("class", "function"):
            return False
        return self.name in names or self.name.rsplit(">", 1)[-1] in names


@dataclass(frozen=True)
class ConfigScan:
    """Every class that a config names, and what of it is foreign."""

    classes: tuple[str, ...]
    foreign: tuple[ForeignCode, ...]


def scan_config(config: Any) -> ConfigScan:
    """Read a deserialized JSON config, of either Keras flavour and any age.

    >>> scan_config({"class_name": "Dense", "config": {"name": "d"}}).foreign
    ()
    >>> [str(code) for code in scan_config({"class_name": "Mine", "config": {}}).foreign]
    ["class 'Mine'"]
    """
    classes: set[str] = set()
    foreign: dict[ForeignCode, None] = {}
    for node, layer in _nodes(config):
        name = str(node["class_name"])
        classes.add(name)
        foreign.update(dict.fromkeys(_judge(node, name, layer)))
    return ConfigScan(tuple(sorted(classes)), tuple(foreign))


def refuse_foreign_code(
    name: str, foreign: Collection[ForeignCode], known: Collection[str] | None, allow_unsafe: bool
) -> None:
    """Raise UnsafeModelError unless all of it is known or allowed.

    known: names that custom objects define; None when they are not imported here, and what they
        may define is left to the process that imports them.
    """
    if allow_unsafe:
        return
    left = [code for code in foreign if not code.is_defined_by(known or ())]
    if known is None:
        left = [code for code in left if code.kind not in ("class", "function")]
    if not left:
        return
    listed = ", ".join(str(code) for code in left[:5])
    more = f" and {len(left) - 5} more" if len(left) > 5 else ""
    way_out = "If you trust it, allow it with allow_unsafe=True (--allow-unsafe)."
    if all(code.kind in ("class", "function") for code in left):
        way_out = (
            "Name the module that defines them with custom_objects (--custom-objects MODULE). "
            + way_out
        )
    raise UnsafeModelError(
        f"{name} would run code that does not come from Keras: {listed}{more}. "
        f"Nothing of it was loaded. {way_out}"
    )


def _nodes(config: Any) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each {"class_name": ...} of the config with the name of the layer that holds it.

    With a stack instead of recursion: a file must not choose how deep Python recurses.
    """
    if isinstance(config, dict):
        config = {key: item for key, item in config.items() if key not in _UNUSED_KEYS}
    pending: list[tuple[Any, str]] = [(config, "")]
    while pending:
        value, layer = pending.pop()
        if isinstance(value, list):
            pending.extend((item, layer) for item in reversed(value))
        if not isinstance(value, dict):
            continue
        if "class_name" in value:
            layer = _layer_name(value) or layer
            yield value, layer
        pending.extend((item, layer) for item in value.values())


def _layer_name(node: Mapping[str, Any]) -> str:
    inner = node.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


def _judge(node: Mapping[str, Any], name: str, layer: str) -> Iterator[ForeignCode]:
    raw = node.get("config")
    inner = raw if isinstance(raw, dict) else {}
    if name == "Lambda":
        yield from _judge_lambda(inner, layer)
    elif name == "__lambda__":
        yield ForeignCode("lambda", "Lambda", layer)
    elif name in known_classes.CODE_RUNNING_LAYERS:
        yield ForeignCode("lambda", name, layer)
    elif name == "function":
        yield from _judge_function(node, layer)
    elif name in known_classes.SYMBOL_OPS:
        symbol = str(inner.get("function"))
        if not _is_mathematical(symbol):
            yield ForeignCode("op", f"tf.{symbol}", layer)
    elif not _is_known_class(node, name):
        yield ForeignCode("class", str(node.get("registered_name") or name), layer)
    for key in ("vocabulary", "idf_weights"):
        if isinstance(inner.get(key), str) and inner[key]:
            yield ForeignCode("op", f"reading the file {inner[key]}", layer)


def _judge_lambda(inner: Mapping[str, Any], layer: str) -> Iterator[ForeignCode]:
    """A Lambda is bytecode unless it names a function, which custom objects may define."""
    function = inner.get("function")
    types = {value for key, value in inner.items() if key.endswith("_type")}
    is_named = isinstance(function, dict) and function.get("class_name") == "function"
    if "lambda" in types or not (is_named or "function" in types):
        yield ForeignCode("lambda", "Lambda", layer)  # its mask or output shape may be bytecode too
    elif isinstance(function, str):
        yield ForeignCode("function", function, layer)
    elif not is_named:  # the walk comes to a named one next
        yield ForeignCode("lambda", "Lambda", layer)


def _judge_function(node: Mapping[str, Any], layer: str) -> Iterator[ForeignCode]:
    name = str(node.get("config"))
    module = str(node.get("module") or "builtins")
    is_known = name in _FUNCTIONS.get(module, ()) or module == "keras.ops"
    if not is_known:
        yield ForeignCode("function", name, layer)


def _is_mathematical(symbol: str) -> bool:
    symbol = symbol.removeprefix("compat.v1.")
    return symbol in _TENSOR_SYMBOLS or symbol.startswith(_MATHEMATICAL_NAMESPACES)


def _is_known_class(node: Mapping[str, Any], name: str) -> bool:
    registered = node.get("registered_name")
    module = node.get("module")
    if isinstance(registered, str) and ">" in registered:
        is_own = registered == f"{known_classes.OWN_PACKAGE}>{name}"
        return (
            is_own
            and module == known_classes.QUANTIZATION_AWARE_MODULE
            and registered in known_classes.QUANTIZATION_AWARE
        )
    if module is None or module == "builtins":
        return "module" not in node and _is_listed(name)
    module = str(module)
    if not module.startswith(("keras.", "tf_keras.", "tensorflow_model_optimization.")):
        return module in ("keras", "tf_keras") and _is_listed(name)
    return _is_listed(name) or (
        name[:1].isupper() and _is_within(module, known_classes.KERAS_MODULES)
    )


def _is_listed(name: str) -> bool:
    """Old files write `glorot_uniform` for `GlorotUniform`."""
    return name in known_classes.CLASSES or name.title().replace("_", "") in known_classes.PARTS


def _is_within(module: str, roots: Collection[str]) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in roots)
