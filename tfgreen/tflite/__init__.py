"""Conversion: a model goes in, a float file and a quantized file come out, in a child process."""

from tfgreen.tflite.conversion import (
    Conversion,
    ConversionOptions,
    convert,
    convert_float,
    describe,
    treat,
)
from tfgreen.tflite.treatment import Treated, Treatment

__all__ = [
    "Conversion",
    "ConversionOptions",
    "Treated",
    "Treatment",
    "convert",
    "convert_float",
    "describe",
    "treat",
]
