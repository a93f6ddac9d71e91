"""Recipes: how a model is compressed in training, stage by stage, and the record of a run."""

from __future__ import annotations

from tfgreen.recipe.record import CompressionRecord

__all__ = ["CompressionRecord"]
