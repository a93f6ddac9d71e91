"""The table of what TensorFlow Lite Micro registers, and the ways around what it does not."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources

_TABLE = "micro_ops.toml"
_DEFAULT_WAY_OUT = (
    "build the layer from ops that it has, or register a kernel of your own and name the op in a "
    "copy of the profile"
)
_WAYS_OUT: Mapping[str, str] = {
    "GELU": "use the activation relu or hard_silu",
    "TILE": "repeat the tensor with keras.layers.Concatenate",
    "POW": "multiply the tensor by itself (keras.ops.square)",
    "SELECT": "multiply by a mask instead of keras.ops.where",
    "WHERE": "multiply by a mask instead of keras.ops.where",
    "RELU_N1_TO_1": "use the activation relu or relu6",
    "RELU_0_TO_1": "use the activation relu or relu6",
    "DENSIFY": "store the weights densely: encoding='dense'",
    "ONE_HOT": "look the rows up with keras.layers.Embedding",
    "TOPK_V2": "take the best classes in the firmware, from the output",
    "CONV_3D": "use 2-D convolutions",
    "CONV_3D_TRANSPOSE": "use 2-D convolutions",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "use an LSTM of one direction, or convolutions over time",
    "REDUCE_PROD": "multiply the parts one by one (keras.layers.Multiply)",
    "REDUCE_ANY": "take the maximum (keras.ops.max)",
    "SIGN": "use a comparison (keras.ops.greater) and a cast",
    "FLEX": "rewrite the layer with ops that have a TFLite version",
    "CUSTOM": "register its kernel in the firmware yourself, or replace the layer",
}


@dataclass(frozen=True)
class RegisteredOps:
    """Op name → its highest version that is known, with the table's date and source."""

    highest_version: Mapping[str, int]
    dated: date
    source: str
    versions_source: str

    @property
    def told(self) -> str:
        """Where the table comes from, for a sentence."""
        return f"{self.source}, table of {self.dated}"


@functools.cache
def registered_ops() -> RegisteredOps:
    """The table, read once.

    >>> table = registered_ops()
    >>> table.highest_version["CONV_2D"] >= 8, "GELU" in table.highest_version
    (True, False)
    """
    text = resources.files(__package__).joinpath(_TABLE).read_text(encoding="utf-8")
    return RegisteredOps(**tomllib.loads(text))


def way_out(op_name: str) -> str:
    """What to do about an op that TFLM lacks, as an order.

    >>> way_out("TOPK_V2")
    'take the best classes in the firmware, from the output'
    """
    return _WAYS_OUT.get(op_name.partition(":")[0], _DEFAULT_WAY_OUT)
