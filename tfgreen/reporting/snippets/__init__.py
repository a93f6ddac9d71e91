"""Ready code for applications: quantize the inputs of one file and dequantize its outputs.

All three do the arithmetic of `tfgreen.preprocess`: divide in float32, round halves to even, clip.
"""

from __future__ import annotations

from tfgreen.preprocess import Preprocess
from tfgreen.reporting.snippets import cpp, kotlin, python


def render_snippets(preprocess: Preprocess) -> dict[str, str]:
    """File name → source text, for Python, C++ and Kotlin.

    >>> sorted(render_snippets(Preprocess(inputs=(), outputs=())))
    ['ModelIo.kt', 'model_io.hpp', 'model_io.py']
    """
    return {
        "model_io.py": python.render(preprocess),
        "model_io.hpp": cpp.render(preprocess),
        "ModelIo.kt": kotlin.render(preprocess),
    }
