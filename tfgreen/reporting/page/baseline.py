"""What "before" is: one model for all figures of a page.

After a recipe it is the model that the recipe was given. Else it is the float model that the file
is held against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfgreen.recipe.record import CompressionRecord, FileFigures
from tfgreen.reporting.page.values import file_text

if TYPE_CHECKING:
    from tfgreen.bundle import Bundle


@dataclass(frozen=True)
class Baseline:
    """A float model.

    metrics: output → its metric there; outputs that nobody measured are not in it.
    sizes: of its `.tflite`, as `figures.file_facts` gives them; empty where nobody knows them.
    """

    metrics: Mapping[str, float]
    sizes: Mapping[str, Any]


def baseline_of(bundle: Bundle) -> Baseline:
    """The model that all figures of a bundle's page are held against."""
    given = given_to_recipe(bundle.compression)
    if given is not None:
        sizes = {} if given.float_file is None else given.float_file.model_dump()
        return Baseline(given.float_metrics, sizes)
    told = bundle.facts.get("float_file")
    metrics = bundle.certificate.metrics
    return Baseline(
        {one.output: one.float_model for one in metrics if one.float_model is not None},
        told if isinstance(told, Mapping) else {},
    )


def given_to_recipe(compression: CompressionRecord | None) -> FileFigures | None:
    """What the model was worth that a recipe trained; None where nothing was trained."""
    return compression.before if compression is not None and compression.stages else None


def before_text(compression: CompressionRecord | None) -> str:
    """What "before" is in the report of a recipe; nothing where it is the float model anyway."""
    given = given_to_recipe(compression)
    if given is None:
        return ""
    return (
        "Before is the float model that the recipe was given. Exported without the recipe: "
        f"{file_text(given)}. Fidelity is held against the float model as the recipe left it."
    )


def judge_text(compression: CompressionRecord | None) -> str:
    """The model whose answers the file is judged by."""
    return "the float model" if given_to_recipe(compression) is None else "the trained float model"
