"""What is asked of the child process, and the names of the files that go with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tfgreen.errors import UsageError
from tfgreen.generative.schemes import Scheme, known_scheme

TEXTS, ANSWERS, GIVEN = "texts.npz", "answers.npz", "given.tflite"
CALIBRATION, EVALUATION = "calibration", "evaluation"
PROMPT_TOKENS = 8
"""How much of a window is the prompt of a greedy run."""

GREEDY_RUNS = 4
COMPARED_WINDOWS = 4
CALIBRATION_WINDOWS, EVALUATION_WINDOWS = 64, 64


@dataclass(frozen=True)
class DecoderOptions:
    """How a decoder is exported.

    scheme: how weights are stored. context: length of the cache; None: what the model was made
    for. prefill_lengths: tokens that one call writes, a signature each; None: powers of 4 from 16
    that the context holds. keeps_state: the cache lives in variables of the file, else it goes in
    and out with each call. compensates: 4-bit weights are rounded on calibration text.
    loss_limit: nats a token that 4-bit layers of the mixed scheme may cost together.
    custom_objects, allow_unsafe: how the model is loaded, as in `tfgreen.load_model`.

    >>> DecoderOptions(scheme="int5")
    Traceback (most recent call last):
        ...
    tfgreen.errors.UnknownNameError: Unknown scheme 'int5'. Did you mean 'int4'? Known: \
dynamic-int8, float16, float32, int4, int4-block32, mixed-int4-int8, weights-int8.
    """

    scheme: Scheme = "dynamic-int8"
    context: int | None = None
    prefill_lengths: tuple[int, ...] | None = None
    keeps_state: bool = False
    compensates: bool = True
    loss_limit: float = 0.005
    custom_objects: str | None = None
    allow_unsafe: bool = False

    def __post_init__(self) -> None:
        known_scheme(self.scheme)
        if self.context is not None and self.context < 2:
            raise UsageError(f"Received context={self.context}; expected at least 2 tokens.")

    def to_request(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def default_prefills(context: int) -> tuple[int, ...]:
    """16, 64, 256 … below the context; half of it, at least 2, where that is shorter than 16.

    >>> default_prefills(128), default_prefills(8), default_prefills(2)
    ((16, 64), (4,), (2,))
    """
    lengths = [16 * 4**power for power in range(8) if 16 * 4**power < context]
    return tuple(lengths) or (max(context // 2, 2),)
