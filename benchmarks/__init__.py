"""Measurements behind the figures of docs/benchmarks.md; not part of the package."""
