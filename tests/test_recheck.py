"""Which rules judge a file that comes without any."""

from __future__ import annotations

import numpy as np

from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.recheck import profile_for


def test_a_file_of_tokens_keeps_its_own_output() -> None:
    """Whole numbers go in, which no profile asks for; float32 comes out."""
    table = np.arange(20, dtype=np.int8).reshape(5, 4)
    content = build(
        [
            TensorSpec("tokens", (3,), "int32"),
            TensorSpec("table", (5, 4), scale=0.5, data=table),
            TensorSpec("rows", (3, 4), scale=0.5),
            TensorSpec("real", (3, 4), "float32"),
        ],
        [
            OpSpec("EMBEDDING_LOOKUP", ["tokens", "table"], ["rows"]),
            OpSpec("DEQUANTIZE", ["rows"], ["real"]),
        ],
        ["tokens"],
        ["real"],
    )
    rules = profile_for(TfliteModel.from_bytes(content))
    assert rules.name == "mobile-int8"
    assert (rules.input_type, rules.output_type, rules.batch) == ("int8", "float32", 3)
