"""Which ops are to be explained: those that add more error than storing their result has to.

An op is suspect if it adds more noise than the ideal, and if that excess is a good part of the
final error. What an op adds without excess is the price of its width, and no fault; an excess that
does not reach the end is no culprit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tfgreen.verification.diagnosis.measuring import LayerError

# Sound files of three kinds: an excess of at most 4 dB, in ops of no consequence.
_EXCESS_DB = (6.0, 12.0)
# The shares of the final error that the excess then has to have.
_SHARES = (0.15, 0.03)
# Where few channels hold all signal, the SQNR of the tensor looks fine; the end has to suffer.
_CROWDED_DB, _CROWDED_SHARE, _CROWDED_SQNR_DB = 12.0, 0.05, 32.0
# What an op adds whose result is float (its weights are not), and one stored without error.
_FLOAT_DB, _EXACT_DB = 38.0, 60.0
# Below this part of the signal (32 dB) nobody sees the final error: sound files have as much.
_NEGLIGIBLE_NOISE = 10**-3.2


@dataclass(frozen=True)
class Suspect:
    """One op whose error wants a cause.

    Attributes:
        layer: Its figures.
        excess_db: How much more noise it adds than the ideal.
        share: Of the final error, the larger of both ways to measure it, 0..1.
        is_crowded: It adds no more noise than the ideal, but the signal is all in few channels.
    """

    layer: LayerError
    excess_db: float
    share: float
    is_crowded: bool = False


def suspects_among(
    layers: tuple[LayerError, ...],
    added_db: dict[int, float | None],
    total_noise: float,
    crowding_db: Callable[[int], float],
) -> tuple[Suspect, ...]:
    """The ops that are at fault, in the file's order.

    Args:
        layers: Every op's figures.
        added_db: SQNR of what each adds to its inputs' error, by tensor.
        total_noise: Final noise over signal.
        crowding_db: How badly the channels of a tensor share its scale, by its index.
    """
    found = []
    for layer in layers:
        added = added_db.get(layer.tensor_index)
        if added is None:
            continue
        ideal = _FLOAT_DB if layer.ideal_sqnr_db is None else layer.ideal_sqnr_db
        excess = min(ideal, _EXACT_DB) - added
        share = _share(layer, total_noise)
        if is_suspect(excess, share, layer, total_noise):
            found.append(Suspect(layer, excess, share))
        elif _matters(layer, share) and crowding_db(layer.tensor_index) >= _CROWDED_DB:
            found.append(Suspect(layer, excess, share, is_crowded=True))
    return tuple(found)


def is_suspect(excess_db: float, share: float, layer: LayerError, total_noise: float) -> bool:
    """Whether an excess is large enough, and matters."""
    alone = noise_of(layer.alone_sqnr_db)
    if is_negligible(max(alone, share * total_noise)):
        return False
    return any(
        excess_db >= excess and share >= least
        for excess, least in zip(_EXCESS_DB, _SHARES, strict=True)
    )


def is_negligible(noise: float) -> bool:
    """Whether nobody sees a final error, given as noise over signal."""
    return noise < _NEGLIGIBLE_NOISE


def _matters(layer: LayerError, share: float) -> bool:
    return share >= _CROWDED_SHARE and (layer.alone_sqnr_db or 99.0) < _CROWDED_SQNR_DB


def noise_of(sqnr_db: float | None) -> float:
    """Noise over signal; 0 for no noise."""
    return 0.0 if sqnr_db is None else math.pow(10, -sqnr_db / 10)


def _share(layer: LayerError, total_noise: float) -> float:
    alone = noise_of(layer.alone_sqnr_db) / total_noise if total_noise else 0.0
    return min(max(layer.share_of_final_error, alone), 1.0)
