"""What a bundle tells about where it comes from: the model, and what was asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tfgreen.models.loading import ModelSource
from tfgreen.pipeline.export_options import ExportOptions


def model_facts(source: ModelSource, *, is_file: bool) -> dict[str, str | None]:
    """Which model it was; without a hash where it came as an object or from a function."""
    sha256 = source.sha256 if is_file else ""
    return {"kind": source.kind, "sha256": sha256 or None, "keras_version": source.keras_version}


def request_facts(model: Any, options: ExportOptions) -> dict[str, Any]:
    """What was asked for, by the names of the options; an object has no path, but its own name."""
    is_text = isinstance(model, str | Path)
    against = options.against
    conversion = options.conversion
    objects = conversion.custom_objects
    return {
        "model": str(model) if is_text else None,
        "name": Path(model).stem if is_text else getattr(model, "name", None),
        "against": str(against) if isinstance(against, str | Path) else None,
        "samples": options.samples,
        "encoding": options.encoding,
        "repair": options.repair,
        "custom_objects": objects if isinstance(objects, str) else None,
        "allow_unsafe": conversion.allow_unsafe,
        "allow_select_ops": conversion.allow_select_ops,
    }


def name_of(model: Any) -> str:
    """What sources call a model: the name of its file, "model" for an object or a function.

    >>> name_of("build/kws-small.keras"), name_of("models:teacher")
    ('kws_small', 'model')
    """
    is_path = isinstance(model, str | Path) and ":" not in Path(model).name
    return re.sub(r"\W+", "_", Path(model).stem) if is_path else "model"
