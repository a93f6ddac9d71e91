"""Bundles whose pages are looked at, made without TensorFlow; and the patients of the diagnosis."""

from __future__ import annotations

from tests.verification.diagnosis.conftest import patient

__all__ = ["patient"]
