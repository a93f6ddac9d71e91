"""The NumPy interpreter as the oracle of every op, and in place of the reference kernels.

It is written from the quantization specification and shares no code with any kernel. Fed the same
intermediates, it says what an op has to give; where LiteRT's reference kernels abort, refuse a
file, or are known to depart from the specification, it stands in for them.
"""

from __future__ import annotations

from typing import Final

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.reference import Rounding
from tfgreen.runtimes import Outcome
from tfgreen.verification.known_bad import KnownBad, known_bad

ORACLE = "numpy"
REPLACED: Final = "reference"
"""The kernel set that the oracle stands in for."""

_ROUNDINGS: tuple[Rounding, ...] = ("reference", "micro", "xnnpack")
_AS_SPECIFIED = frozenset({"SUM"})
_REFUSALS = frozenset({"crashed", "failed", "unregistered"})


def rounding_of(kernel_set: str) -> Rounding:
    """The rounding that predicts a kernel set: its own where the interpreter has it.

    >>> rounding_of("micro"), rounding_of("optimized")
    ('micro', 'reference')
    """
    return next((mode for mode in _ROUNDINGS if mode == kernel_set), "reference")


def op_rounding(kernel_set: str, model: TfliteModel, op: Op) -> Rounding:
    """That of a kernel set, unless it would reproduce a quirk that is known to be wrong."""
    modes: tuple[Rounding, ...] = (rounding_of(kernel_set), "reference", "micro")
    return next((mode for mode in modes if not known_bad(mode, model, op)), modes[0])


def misled(model: TfliteModel) -> KnownBad | None:
    """Why the reference kernels cannot be trusted with a file, and the oracle can."""
    wrong = (known_bad(REPLACED, model, op) for op in model.ops if stays_right(op))
    return next((entry for entry in wrong if entry is not None), None)


def stays_right(op: Op) -> bool:
    """Whether the interpreter follows the specification where the reference kernels do not.

    Other wrong kernels follow a rule of their own, which it reproduces in their rounding mode.
    """
    return op.name in _AS_SPECIFIED


def refuses(outcome: Outcome) -> bool:
    """Whether a kernel set gave up on a task for another reason than time."""
    return outcome.status in _REFUSALS
