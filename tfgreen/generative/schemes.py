"""How the weights of a decoder can be stored, and the rules that make AI Edge Quantizer do it.

Activations stay float in all of them: only weights decide the size of a language model.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Literal, get_args

from tfgreen.errors import UnknownNameError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.generative.layout import SCORE
from tfgreen.generative.signatures import (
    buffer_of,
    signature_models,
    with_lookups,
    with_shared_constants,
)
from tfgreen.tflite.quantizers import quantized_by

Scheme = Literal[
    "float32", "float16", "dynamic-int8", "weights-int8", "int4", "int4-block32", "mixed-int4-int8"
]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
BLOCK = 32

_DENSE, _LOOKUP = "FULLY_CONNECTED", "EMBEDDING_LOOKUP"
_CALIBRATED = frozenset({"int4", "int4-block32", "mixed-int4-int8"})


def known_scheme(name: str) -> Scheme:
    """The scheme of a name; UnknownNameError lists them.

    >>> known_scheme("int4")
    'int4'
    """
    for scheme in SCHEMES:
        if scheme == name:
            return scheme
    raise UnknownNameError("scheme", name, SCHEMES)


def has_four_bits(scheme: Scheme) -> bool:
    """Whether some weights get 4 bits, so that calibration text makes the file better.

    >>> has_four_bits("int4-block32"), has_four_bits("dynamic-int8")
    (True, False)
    """
    return scheme in _CALIBRATED


def quantized(float_content: bytes, scheme: Scheme, wide: Collection[str] = ()) -> bytes:
    """The file of a scheme, weights rounded to nearest.

    With 4 bits, embedding tables keep 8, and so does a head that shares its table with the
    embedding: stored once, it is smaller than at 4 and 8 bits.

    Args:
        float_content: what `prepared` made of the converter's file.
        wide: names of layers (see `layer_weights`) that get 8 bits where others get 4.
    """
    if scheme == "float32":
        return float_content
    rules = _rules(float_content, scheme, wide)
    return with_shared_constants(quantized_by(float_content, rules))


def prepared(content: bytes) -> bytes:
    """The converter's float file, its tables as embeddings and each constant stored once."""
    return with_shared_constants(with_lookups(content))


def layer_weights(model: TfliteModel) -> dict[str, int]:
    """Dense layers of one signature with constant weights: a name each → index of the op.

    Names come from the Keras layers, `block_0_attention/query`; what they cannot tell is numbered.
    """
    found: dict[str, int] = {}
    for op in model.ops:
        if op.name == _DENSE and model.tensors[op.inputs[1]].is_constant:
            name = _layer_name(model.tensors[op.outputs[0]].name)
            names = (name if not number else f"{name}#{number}" for number in range(len(found) + 1))
            found[next(one for one in names if one not in found)] = op.index
    return found


def _layer_name(tensor_name: str) -> str:
    """What a tensor's name tells of the layer.

    >>> _layer_name("block_1_attention_1/block_1_attention_key_1/add;x")
    'block_1_attention_key'
    >>> _layer_name("StatefulPartitionedCall_1:0")
    'head'
    """
    if re.match(r"(Stateful)?PartitionedCall|Identity", tensor_name):
        return "head"
    parts = [part for part in tensor_name.split(";")[0].split("/") if _is_telling(part)]
    return re.sub(r"_\d+$", "", parts[-1]) if parts else "dense"


def _is_telling(part: str) -> bool:
    plain = r"(Tensordot|MatMul|BiasAdd|add|mul|Add|Mul|Reshape|Gelu|Relu|Sigmoid)\w*"
    return re.fullmatch(plain, part) is None


def _rules(content: bytes, scheme: Scheme, wide: Collection[str]) -> list[dict[str, Any]]:
    from ai_edge_quantizer import qtyping, recipe
    from ai_edge_quantizer.recipe_manager import RecipeManager

    from tfgreen.tflite.quantizers import float16_recipe

    if scheme == "float16":
        return float16_recipe()
    if scheme in ("dynamic-int8", "weights-int8"):
        make = (
            recipe.dynamic_wi8_afp32 if scheme == "dynamic-int8" else (recipe.weight_only_wi8_afp32)
        )
        rules: list[dict[str, Any]] = make()
        return rules
    ops, sizes = qtyping.TFLOperationName, qtyping.QuantGranularity
    manager = RecipeManager()
    channelwise = sizes.CHANNELWISE
    narrow = sizes.BLOCKWISE_32 if scheme == "int4-block32" else channelwise
    manager.add_dynamic_config(".*", ops.FULLY_CONNECTED, 4, narrow)
    manager.add_dynamic_config(".*", ops.EMBEDDING_LOOKUP, 8, channelwise)
    for name in _outputs_with_eight_bits(content, wide, narrow is not channelwise):
        manager.add_dynamic_config(re.escape(name), ops.FULLY_CONNECTED, 8, channelwise)
    made: list[dict[str, Any]] = manager.get_quantization_recipe()
    return made


def _outputs_with_eight_bits(content: bytes, wide: Collection[str], in_blocks: bool) -> list[str]:
    """Names of the outputs, in all signatures, of dense layers that keep 8 bits."""
    models = signature_models(content)
    whole = models[SCORE]
    chosen = {
        buffer_of(whole, whole.ops[index].inputs[1])
        for name, index in layer_weights(whole).items()
        if name in wide
    }
    tables = {
        buffer_of(model, op.inputs[1])
        for model in models.values()
        for op in model.ops
        if op.name == _LOOKUP
    }
    names = []
    for model in models.values():
        for index in layer_weights(model).values():
            op = model.ops[index]
            weights = model.tensors[op.inputs[1]]
            is_odd = in_blocks and weights.shape[-1] % BLOCK != 0
            if is_odd or buffer_of(model, weights.index) in chosen | tables:
                names.append(model.tensors[op.outputs[0]].name)
    return names
