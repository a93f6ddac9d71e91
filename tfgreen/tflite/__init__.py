"""Conversion: a model goes in, a float file and a quantized file come out, in a child process."""

from tfgreen.tflite.conversion import (
    Conversion,
    ConversionOptions,
    convert,
    convert_float,
    describe,
)

__all__ = ["Conversion", "ConversionOptions", "convert", "convert_float", "describe"]
