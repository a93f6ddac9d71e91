"""What kind of data an input takes, and what its values are like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError, UnknownNameError, UsageError

Kind = Literal["image", "audio", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_COLOURS = (3, 4)
_ASK = (
    "Say which it is: kind='image', 'audio' or 'text' (--robustness KIND), or one for each input, "
    "as kind={'name': 'image'}."
)


@dataclass(frozen=True)
class ToldKind:
    """The kind of one input, and how it is known."""

    kind: Kind
    how: str


def kinds_of(samples: Samples, given: str | Mapping[str, str] | None) -> dict[str, ToldKind]:
    """The kind of each input that is corrupted; inputs that a mapping leaves out stay as they are.

    Args:
        given: A kind for the only input, one for each of several, or None: told from the shape
            and the dtype, where they leave no doubt. Whole numbers in one row are tokens; three or
            four channels last, or one channel of a square, are an image.

    Raises:
        UsageError: no kind was given and none follows; or one kind for several inputs.
        UnknownNameError: no such kind, or no such input.

    >>> kinds_of(Samples({"x": np.zeros((2, 32, 32, 3), "float32")}), None)["x"].kind
    'image'
    """
    if isinstance(given, Mapping):
        for name, kind in given.items():
            if name not in samples.inputs:
                raise UnknownNameError("input", name, tuple(samples.inputs))
            _known(kind)
        return {name: ToldKind(_known(kind), "as given") for name, kind in given.items()}
    if len(samples.inputs) > 1:
        names = ", ".join(samples.inputs)
        raise UsageError(
            f"The model has the inputs {names}, and corruptions need the kind of each that shall "
            f"be corrupted: give kind={{'{next(iter(samples.inputs))}': 'image'}}, say."
        )
    name, values = next(iter(samples.inputs.items()))
    if given is not None:
        return {name: ToldKind(_known(given), "as given")}
    return {name: _inferred(name, values)}


def _known(kind: str) -> Kind:
    for known in KINDS:
        if kind == known:
            return known
    raise UnknownNameError("kind of data", kind, KINDS)


def _inferred(name: str, values: np.ndarray) -> ToldKind:
    shape, whole = values.shape[1:], values.dtype.kind in "iu"
    told = f"shape {shape}, {values.dtype}"
    if whole and len(shape) == 1:
        return ToldKind("text", f"inferred: whole numbers in one row are tokens ({told})")
    if len(shape) == 3 and shape[-1] in _COLOURS:
        return ToldKind("image", f"inferred: the last of three dimensions counts colours ({told})")
    if len(shape) == 3 and shape[-1] == 1 and shape[0] == shape[1]:
        return ToldKind("image", f"inferred: a square of one channel ({told})")
    raise UsageError(
        f"What kind of data the input '{name}' takes does not follow from its values ({told}). "
        f"{_ASK}"
    )


@dataclass(frozen=True, eq=False)
class Reference:
    """What the values of an input are like in the data; a corruption is measured by it.

    low, high: The range, which no corruption leaves. deviation: Standard deviation, of each band
    for audio features. band_means: Mean of each band. tokens: The tokens that occur, without 0,
    which stands for padding.
    """

    low: float
    high: float
    deviation: np.ndarray
    band_means: np.ndarray
    tokens: np.ndarray

    @classmethod
    def of(
        cls, name: str, values: np.ndarray, kind: Kind, given: tuple[float, float] | None = None
    ) -> Reference:
        """From all samples of an input, (n, *shape); images of uint8 reach from 0 to 255.

        given: The range, where it is known better than the data show it.

        Raises InvalidDataError for values that are not finite, all equal or do not fit the kind,
        and UsageError for a range that is none.
        """
        _check(name, values, kind)
        low, high = float(values.min()), float(values.max())
        if kind == "image" and values.dtype == np.uint8:
            low, high = 0.0, 255.0
        if given is not None:
            low, high = _checked_range(name, given, low, high)
        if not high > low:
            raise InvalidDataError(
                f"All values of the input '{name}' are {low:g}: there is no range to corrupt them "
                "in. Give samples as the model sees them."
            )
        bands = values.astype(np.float64).reshape(len(values), values.shape[1], -1)
        if kind == "text":
            tokens = np.unique(values)
            return cls(low, high, np.zeros(1), np.zeros(1), tokens[tokens != 0])
        return cls(low, high, bands.std(axis=(0, 1)), bands.mean(axis=(0, 1)), np.zeros(0))


def _check(name: str, values: np.ndarray, kind: Kind) -> None:
    if len(values) == 0:
        raise InvalidDataError(f"There are no samples of '{name}': give some hundred.")
    if not np.isfinite(values).all():
        raise InvalidDataError(
            f"The input '{name}' has NaN or infinite values; corruptions need finite ones."
        )
    dimensions = values.ndim - 1
    if kind == "text" and (values.dtype.kind not in "iu" or dimensions != 1):
        raise InvalidDataError(
            f"The input '{name}' is said to be text, and has the shape {values.shape[1:]} and the "
            f"dtype {values.dtype}; expected one row of whole numbers, the tokens."
        )
    if kind == "image" and dimensions != 3:
        raise InvalidDataError(
            f"The input '{name}' is said to be an image, and has the shape {values.shape[1:]}; "
            "expected (height, width, channels)."
        )
    if kind == "audio" and not (1 <= dimensions <= 3) or values[0].size == 0:
        raise InvalidDataError(
            f"The input '{name}' is said to be audio, and has the shape {values.shape[1:]}; "
            "expected (time,), (time, bands) or (time, bands, 1)."
        )


def _checked_range(
    name: str, given: tuple[float, float], low: float, high: float
) -> tuple[float, float]:
    if len(given) != 2 or not (np.isfinite(given).all() and given[0] < given[1]):
        raise UsageError(f"Received the range {given} for '{name}'; expected (low, high).")
    if low < given[0] or high > given[1]:
        raise UsageError(
            f"The range of '{name}' is given as {given[0]:g} to {given[1]:g}, and its values reach "
            f"from {low:g} to {high:g}. Give a range that holds them."
        )
    return float(given[0]), float(given[1])
