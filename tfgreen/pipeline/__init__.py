"""The whole flow: `export` makes a verified file of a model, `compress` trains it small before."""

from __future__ import annotations

from tfgreen.pipeline.bundle_making import make_bundle
from tfgreen.pipeline.compressing import Compression, compress, compress_to
from tfgreen.pipeline.export_options import SAMPLES, ExportOptions, OnProgress
from tfgreen.pipeline.exporting import export
from tfgreen.pipeline.float_files import float_file
from tfgreen.pipeline.origin import name_of

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
