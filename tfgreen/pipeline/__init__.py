"""The whole flow: `export` makes a verified file of a model, `compress` trains it small before."""

from __future__ import annotations

from tfgreen.pipeline.compressing import Compression, compress, compress_to
from tfgreen.pipeline.exporting import (
    SAMPLES,
    ExportOptions,
    OnProgress,
    export,
    float_file,
    make_bundle,
    name_of,
)

__all__ = [
    "SAMPLES",
    "Compression",
    "ExportOptions",
    "OnProgress",
    "compress",
    "compress_to",
    "export",
    "float_file",
    "make_bundle",
    "name_of",
]
