"""The catalogue of corruptions, and the one way to apply them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.verification.robustness import audio, images, tokens
from tfgreen.verification.robustness.kinds import Kind, Reference

SEVERITIES = (1, 2, 3, 4, 5)

Apply = Callable[[np.ndarray, float, Reference, np.random.Generator], np.ndarray]
_OnUnit = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Corruption:
    """One way in which data get worse, at five severities.

    name: As in the record. amounts: One a severity, in `unit`. problem: Why it cannot be applied
    here; "" if it can.
    """

    name: str
    kind: Kind
    amounts: tuple[float, ...]
    unit: str
    apply: Apply
    problem: str = ""


def catalogue(kind: Kind, shape: Sequence[int]) -> tuple[Corruption, ...]:
    """All corruptions of a kind of data, for samples of a shape.

    >>> [one.name for one in catalogue("audio", (49, 10))]
    ['noise', 'gain', 'time-shift', 'band-limit']
    """
    if kind == "text":
        return (Corruption("token-noise", kind, tokens.AMOUNTS, tokens.UNIT, tokens.token_noise),)
    if kind == "audio":
        functions: dict[str, Apply] = {
            "noise": audio.noise,
            "gain": audio.gain,
            "time-shift": audio.time_shift,
            "band-limit": audio.band_limit,
        }
        return tuple(
            Corruption(name, kind, audio.AMOUNTS[name], audio.UNITS[name], function)
            for name, function in functions.items()
        )
    is_small = min(shape[:2]) < images.SMALL_SIDE_PIXELS
    amounts = images.SMALL if is_small else images.LARGE
    on_unit: dict[str, _OnUnit] = {
        "gaussian-noise": images.gaussian_noise,
        "gaussian-blur": images.gaussian_blur,
        "contrast": images.contrast,
        "brightness": images.brightness,
        "jpeg": images.jpeg,
    }
    return tuple(
        Corruption(
            name,
            kind,
            amounts[name],
            images.UNITS[name],
            _in_range(function),
            images.jpeg_problem(tuple(shape)) if name == "jpeg" else "",
        )
        for name, function in on_unit.items()
    )


def chosen(known: Iterable[Corruption], names: Sequence[str] | None) -> tuple[Corruption, ...]:
    """Those of these names, in the catalogue's order; all without names.

    Raises UnknownNameError for others.
    """
    found = tuple(known)
    if names is None:
        return found
    for name in names:
        if name not in [one.name for one in found]:
            raise UnknownNameError("corruption", name, tuple(one.name for one in found))
    return tuple(one for one in found if one.name in names)


def check_severities(severities: Sequence[int]) -> None:
    """Raise UsageError for what is not of 1 to 5, and for none or the same twice."""
    for severity in severities:
        if severity not in SEVERITIES:
            raise UsageError(f"Received the severity {severity!r}; expected 1 to 5.")
    if not severities or len(set(severities)) < len(severities):
        raise UsageError(f"Received the severities {tuple(severities)}; expected some, each once.")


def corrupted(
    values: np.ndarray, corruption: Corruption, severity: int, reference: Reference, seed: int = 0
) -> np.ndarray:
    """The samples of one input, (n, *shape), at a severity of 1 to 5; shape and dtype stay.

    The same values and seed give the same outcome. All severities share their random numbers, so
    that a higher one adds to what a lower one does. No value leaves the reference's range.

    Raises UsageError for another severity.
    """
    check_severities((severity,))
    random = np.random.default_rng([seed, zlib.crc32(corruption.name.encode())])
    amount = corruption.amounts[severity - 1]
    if corruption.kind == "text":
        return corruption.apply(values, amount, reference, random).astype(values.dtype)
    changed = corruption.apply(values.astype(np.float64), amount, reference, random)
    changed = np.clip(changed, reference.low, reference.high)
    return (np.rint(changed) if values.dtype.kind in "iu" else changed).astype(values.dtype)


def _in_range(function: _OnUnit) -> Apply:
    """A corruption of values from 0 to 1, for values of the reference's range."""

    def apply(
        values: np.ndarray, amount: float, reference: Reference, random: np.random.Generator
    ) -> np.ndarray:
        width = reference.high - reference.low
        unit = (values - reference.low) / width
        return np.clip(function(unit, amount, random), 0.0, 1.0) * width + reference.low

    return apply
