"""What TensorFlow Lite Micro registers: `python -m benchmarks.micro_ops`.

Writes `tfgreen/targets/microcontroller/micro_ops.toml`. One file of one op is made for every op of
the schema, and given to the tflite-micro that is installed: either it has no kernel of that name,
or it goes on (and mostly refuses the file, whose op has neither the inputs nor the options that it
needs, which is as good an answer). TFLM looks kernels up by name and never compares versions, as
the same files with version 99 show; the highest version of each op is the highest that LiteRT
registers, whose kernels TFLM's are made from: a later one means something that neither knows.
"""

from __future__ import annotations

from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tfgreen.flatbuffer import op_names
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.runtimes import Task, run_tasks

TABLE = Path(__file__).parents[1] / "tfgreen" / "targets" / "microcontroller" / "micro_ops.toml"
HEADER = """\
# What TensorFlow Lite Micro registers, and the highest version of each op that is known.
# Made by `python -m benchmarks.micro_ops`, which tells how; do not edit by hand.
"""
_ABSURD_VERSION = 99
_MOST_VERSIONS = 40
_NO_OPS = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}


def one_op_file(name: str, op_version: int) -> bytes:
    """x (1, 4) float32 → the op → y, without options."""
    schema = load_schema()
    code = getattr(schema.BuiltinOperator, name)
    tensors = [schema.TensorT(shape=[1, 4], buffer=0, name=part) for part in (b"x", b"y")]
    graph = schema.SubGraphT(
        tensors=tensors,
        inputs=[0],
        outputs=[1],
        operators=[schema.OperatorT(opcodeIndex=0, inputs=[0], outputs=[1])],
    )
    kind = schema.OperatorCodeT(
        deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=op_version
    )
    buffers = [schema.BufferT()]
    root = schema.ModelT(version=3, operatorCodes=[kind], subgraphs=[graph], buffers=buffers)
    return pack(root, b"")


def registered(names: list[str], op_version: int) -> list[str]:
    """The ops that the micro kernels have, asked for in some version."""
    sample = (np.zeros((1, 1, 4), np.float32),)
    tasks = [Task(name, one_op_file(name, op_version), sample) for name in names]
    outcomes = run_tasks("micro", tasks)
    missing = [f"The micro kernels have no {name}." for name in names]
    return [
        name
        for name, outcome, told in zip(names, outcomes, missing, strict=True)
        if outcome.message != told
    ]


def highest_version(name: str) -> int:
    """The highest that any of LiteRT's own kernels register; they do not begin at 1 for each op."""
    return max(v for v in range(1, _MOST_VERSIONS) if _is_registered_in_litert(name, v))


def _is_registered_in_litert(name: str, op_version: int) -> bool:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        Interpreter(
            model_content=one_op_file(name, op_version),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    except ValueError as error:
        if "Didn't find op" not in str(error):
            raise
        return False
    return True


def main() -> None:
    """Probe, and write the table."""
    names = sorted(set(op_names().values()) - _NO_OPS)
    found = registered(names, 1)
    if registered(found, _ABSURD_VERSION) != found:
        raise RuntimeError("TFLM compares versions now: the table has to hold its own.")
    lines = [
        HEADER,
        f"dated = {date.today()}",
        f'source = "tflite-micro {version("tflite-micro")}"',
        f'versions_source = "ai-edge-litert {version("ai-edge-litert")}"',
        "\n[highest_version]",
        *(f"{name} = {highest_version(name)}" for name in found),
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(found)} of {len(names)} ops are registered: {TABLE}")


if __name__ == "__main__":
    main()
