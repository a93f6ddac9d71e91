"""The JSON schema of recipes, by which editors complete and check them.

The file beside this one is what `recipe_schema` gives: `python -m tfgreen.recipe.schema` writes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfgreen.recipe.options import RECIPE, STAGE, TECHNIQUES

SCHEMA_PATH = Path(__file__).parent / "recipe.schema.json"


def recipe_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) as plain values."""
    techniques = {name: _table(options) for name, options in TECHNIQUES.items()}
    techniques["distillation"]["required"] = ["teacher"]
    stage = _table({**STAGE, **techniques})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tfgreen recipe",
        **_table({**RECIPE, "stages": {"type": "array", "items": stage}}),
        "required": ["stages"],
    }


def schema_text() -> str:
    """The schema as the file holds it."""
    return json.dumps(recipe_schema(), indent=2) + "\n"


def _table(properties: dict[str, Any] | Any) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
