"""Recipes as text: a table of the ready ones."""

from __future__ import annotations

from collections.abc import Sequence

from tfgreen.recipe import Recipe


def recipes_text(recipes: Sequence[Recipe]) -> str:
    """One line a recipe: its name, and what it does.

    >>> print(recipes_text([Recipe(name="ptq", summary="No training.")]))
    ptq  No training.
    """
    width = max(len(recipe.name) for recipe in recipes)
    return "\n".join(f"{recipe.name:{width}}  {recipe.summary}" for recipe in recipes)
