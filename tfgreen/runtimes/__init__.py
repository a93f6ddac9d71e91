"""One protocol for every kernel set that can run a .tflite file, each in a child process.

A kernel set is the code that computes the ops: LiteRT has three, TensorFlow Lite Micro is the
fourth, and our own interpreter of integer files the fifth. They are not bit-identical, some abort
on sound models, and some lack ops; so they run in a process of their own, and what happens there
comes back as an `Outcome`.

    reference   LiteRT's reference kernels (BUILTIN_REF)
    optimized   LiteRT's optimised kernels, no delegate (BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    xnnpack     LiteRT with XNNPACK, what apps run by default (BUILTIN)
    micro       TensorFlow Lite Micro, on the host
    numpy       tfgreen.reference: the specification, with the rounding of one of the others
"""

from tfgreen.runtimes.availability import availability
from tfgreen.runtimes.inputs import dequantize, quantize_inputs
from tfgreen.runtimes.protocol import KERNEL_SETS, Availability, Outcome, Task
from tfgreen.runtimes.session import run_tasks

__all__ = [
    "KERNEL_SETS",
    "Availability",
    "Outcome",
    "Task",
    "availability",
    "dequantize",
    "quantize_inputs",
    "run_tasks",
]
