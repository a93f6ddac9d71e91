"""The ops of one file as TensorFlow Lite Micro's resolver wants them: only those, each by name."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel, op_names_used

_TABLE = "op_resolver.toml"
_CUSTOM = "CUSTOM:"


@functools.cache
def resolver_functions() -> dict[str, str]:
    """Op name as in `Op.name` → the function of `MicroMutableOpResolver` that registers it.

    >>> resolver_functions()["PADV2"], resolver_functions()["CUSTOM:TFLM_DECODE"]
    ('AddPadV2', 'AddDecode')
    """
    text = resources.files(__package__).joinpath(_TABLE).read_text(encoding="utf-8")
    table = tomllib.loads(text)
    custom = {f"{_CUSTOM}{code}": function for code, function in table["custom"].items()}
    return {**table["builtin"], **custom}


def resolver_calls(model: TfliteModel) -> tuple[str, ...]:
    """The functions that a firmware has to call for a file, sorted; their number is the N.

    Ops in the bodies of loops and branches count too.

    Raises:
        UnsupportedModelError: an op that no function registers.
    """
    functions = resolver_functions()
    names = op_names_used(model)
    unknown = [name for name in names if name not in functions]
    if unknown:
        raise UnsupportedModelError(
            f"TensorFlow Lite Micro registers no {', '.join(unknown)}, so that no firmware can "
            "run this file. Replace the layers behind, or choose another target."
        )
    return tuple(sorted(functions[name] for name in names))
