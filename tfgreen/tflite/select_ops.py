"""Ops that TFLite lacks, and that TensorFlow's own kernels could run: select ops, or Flex.

They compute in float, and only where the target links the Flex delegate, which no Python package
has: nothing here can run them. No file has them unless that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel

_PREFIX = "FLEX:"
_IN_CONVERTER_MESSAGE = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")


def select_ops(model: TfliteModel) -> tuple[str, ...]:
    """Names of the file's select ops, sorted."""
    names = (op.name for op in model.ops if op.name.startswith(_PREFIX))
    return tuple(sorted({name.removeprefix(_PREFIX) for name in names}))


def missed_ops(converter_message: str) -> tuple[str, ...]:
    """Names of the select ops without which the converter gave up.

    >>> missed_ops("error: 'tf.Erfinv' op is neither a custom op nor a flex op <unknown>")
    ('Erfinv',)
    """
    return tuple(sorted(set(_IN_CONVERTER_MESSAGE.findall(converter_message))))


def refuse_select_ops(names: Collection[str], model_name: str) -> None:
    """Raise UnsupportedModelError if there are any."""
    if names:
        raise UnsupportedModelError(
            f"{model_name} needs TensorFlow ops that TFLite does not have: {', '.join(names)}. "
            "Write the model without them, or allow them with --allow-select-ops and a profile "
            "of float activations (mobile-float16, mobile-dynamic-int8); whatever runs the file "
            "must then link the Flex delegate."
        )
