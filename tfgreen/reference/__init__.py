"""A reference interpreter for int8 .tflite files, in NumPy alone.

It is written from TFLite's 8-bit quantization specification and from the arithmetic of its
kernels, with the rounding as a parameter, so that one interpreter says what LiteRT's reference
kernels and TensorFlow Lite Micro give, bit for bit, without running either.
"""

from tfgreen.reference.interpreter import Interpreter
from tfgreen.reference.requantization import Rounding
from tfgreen.reference.saturation import TensorAudit

__all__ = ["Interpreter", "Rounding", "TensorAudit"]
