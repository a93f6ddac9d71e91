"""Recipes: how a model is compressed in training, stage by stage, and the record of a run."""

from __future__ import annotations

from tfgreen.recipe.reading import list_recipes, load_recipe, recipe_path, recipe_source
from tfgreen.recipe.recipe import Recipe, Stage

__all__ = ["Recipe", "Stage", "list_recipes", "load_recipe", "recipe_path", "recipe_source"]
