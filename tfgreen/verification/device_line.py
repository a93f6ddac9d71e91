"""What the golden test of the rendered sources prints on a board: one line of JSON.

The renderer and the reader of serial logs agree on it here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from tfgreen.golden import Golden

LINE_VERSION = 1
LINE_START = '{"tfgreen":"golden-test"'
STATUS_OK = "ok"


def expected_answers(golden: Golden, truth: str) -> tuple[str, tuple[np.ndarray, ...]] | None:
    """The kernel set whose answers a board has to give, and these; None if there are none.

    That is the truth of the profile; where it could not be run, the reference kernels.
    """
    for kernel_set in (truth, "reference"):
        if kernel_set in golden.outputs:
            return kernel_set, golden.outputs[kernel_set]
    return None


def golden_id(inputs: Sequence[np.ndarray], answers: Sequence[np.ndarray]) -> str:
    """16 hexadecimal digits that tell golden vectors apart.

    >>> golden_id([np.zeros((1, 2), np.int8)], [np.ones((1, 1), np.int8)])
    'de8b613870861e7f'
    """
    digest = hashlib.sha256()
    for array in (*inputs, *answers):
        digest.update(f"{array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
