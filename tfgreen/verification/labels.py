"""How certificates call ops and tensors: short, and found again in the file."""

from __future__ import annotations

from tfgreen.flatbuffer import Op, TfliteModel

_LONGEST_NAME = 60


def tensor_label(model: TfliteModel, tensor_index: int) -> str:
    """A tensor's name; of a long one made of several joined by ';', the first that fits."""
    name = model.tensors[tensor_index].name or f"tensor {tensor_index}"
    if len(name) <= _LONGEST_NAME:
        return name
    fitting = [part for part in name.split(";") if part and len(part) <= _LONGEST_NAME]
    return fitting[0] if fitting else "…" + name[1 - _LONGEST_NAME :]


def op_label(model: TfliteModel, op: Op) -> str:
    """An op with the tensor it writes: "CONV_2D 'dense/BiasAdd'"."""
    if not op.outputs:
        return f"{op.name} (op {op.index})"
    return f"{op.name} '{tensor_label(model, op.outputs[0])}'"


def counted(count: int, noun: str) -> str:
    """A number with its noun in the right form.

    >>> counted(1, "sample"), counted(1200, "byte")
    ('1 sample', '1,200 bytes')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def quanta(count: float) -> str:
    """A number of quanta, for people.

    >>> quanta(1.0), quanta(2.345)
    ('1 quantum', '2.35 quanta')
    """
    number = f"{count:,.0f}" if count >= 100 or count == int(count) else f"{count:.3g}"
    return f"{number} {'quantum' if count == 1 else 'quanta'}"
