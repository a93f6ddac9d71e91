"""Which options of `QuantizationAwareTraining` make sense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfgreen.compression.selection import check_selectors
from tfgreen.errors import UsageError

if TYPE_CHECKING:
    from tfgreen.compression.quantization.quantization import QuantizationAwareTraining

WEIGHT_BITS = range(4, 9)
FEWER_THAN_ANY_RUNTIME = 2


def check_options(technique: QuantizationAwareTraining) -> None:
    """Raise UsageError for what makes no sense."""
    _check_bits(technique)
    for name in ("preserve_sparsity", "preserve_clusters", "calibrate"):
        _check(isinstance(getattr(technique, name), bool), technique, name, "True or False")
    _check(
        technique.weight_steps in (None, "channel", "layer"),
        technique,
        "weight_steps",
        "'channel', 'layer' or None",
    )
    after = technique.freeze_batch_norm_after
    _check(
        after is None or (_is_number(after) and 0 <= after <= 1),
        technique,
        "freeze_batch_norm_after",
        "a share of training from 0 to 1, or None",
    )
    check_selectors(technique.skip, "skip")
    check_selectors(technique.only or (), "only")
    _check(technique.only != (), technique, "only", "one layer or more, or None for all")


def _check_bits(technique: QuantizationAwareTraining) -> None:
    given = technique.weight_bits
    if isinstance(given, Mapping):
        _check(bool(given), technique, "weight_bits", "4 to 8, or that by layer")
        check_selectors(given, "weight_bits")
    for bits in given.values() if isinstance(given, Mapping) else [given]:
        if bits == FEWER_THAN_ANY_RUNTIME:
            raise UsageError(
                "weight_bits received 2; expected 4 to 8. No runtime that tfgreen exports for "
                "computes with weights of 2 bits: they would be stored in 8."
            )
        if not isinstance(bits, int) or isinstance(bits, bool) or bits not in WEIGHT_BITS:
            raise UsageError(f"weight_bits received {bits!r}; expected 4 to 8.")
    is_width = isinstance(technique.activation_bits, int) and technique.activation_bits in (8, 16)
    _check(is_width, technique, "activation_bits", "8 or 16")


def _check(holds: bool, technique: Any, name: str, expected: str) -> None:
    if not holds:
        raise UsageError(f"{name} received {getattr(technique, name)!r}; expected {expected}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
