"""A model that no engine can quantize as it is: its channels are made alike first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfgreen.errors import ConversionError
from tfgreen.profile import ExportProfile
from tfgreen.tflite.conversion import (
    Conversion,
    ConversionOptions,
    OnProgress,
    convert,
    convert_float,
    treat,
)
from tfgreen.tflite.treatment import Kind, Treated, Treatment


@dataclass(frozen=True)
class Rescued:
    """A conversion, and the float file that its content is quantized from.

    quantized_from: the conversion's own float file, or one with channels made alike, which
    gives the same answers.
    """

    conversion: Conversion
    quantized_from: bytes


def convert_or_equalize(
    model: Path | str,
    profile: ExportProfile,
    calibration: Mapping[str, np.ndarray] | None,
    options: ConversionOptions,
    on_progress: OnProgress | None = None,
    *,
    equalizes: bool,
) -> Rescued:
    """`convert`; where no engine can quantize, once more with channels of unlike size made alike.

    equalizes: whether that may be done. Sizes that lie far apart end in factors that kernels
    refuse, and then there is no file that could be repaired. Raises the first ConversionError
    where this does not help either.
    """
    try:
        conversion = convert(model, profile, calibration, options, on_progress)
        return Rescued(conversion, conversion.float_content)
    except ConversionError as refused:
        if not equalizes or calibration is None or not profile.needs_calibration:
            raise
        plain = convert_float(model, options, on_progress)
        treated = _equalized(plain, profile, calibration, options, on_progress)
        if treated is None:
            raise refused from None
    note = (
        f"No engine could quantize the model as it is. {treated.said} Layers in between hold other "
        "numbers than the float model's"
    )
    facts = {**plain.facts, "notes": [*plain.facts["notes"], note]}
    facts |= {"route": treated.facts["route"]}
    conversion = replace(plain, content=treated.content, facts=facts)
    return Rescued(conversion, treated.float_content)


def _equalized(
    plain: Conversion,
    profile: ExportProfile,
    calibration: Mapping[str, np.ndarray],
    options: ConversionOptions,
    on_progress: OnProgress | None,
) -> Treated | None:
    float_content = plain.float_content
    kinds: list[Kind] = ["equalize-activations", "equalize-weights"]
    if profile.weight_scales == "tensor":
        kinds.reverse()
    for kind in kinds:
        try:
            treated = treat(
                Treatment(kind),
                float_content,
                float_content,
                profile,
                calibration,
                options,
                on_progress,
            )
        except ConversionError:
            continue
        if treated.is_changed:
            return treated
    return None
