"""What an inspection tells, as data: ready for JSON, and for text made elsewhere."""

from __future__ import annotations

import json
from typing import Any, Literal

from tfgreen.preprocess import BoundaryTensor
from tfgreen.records import Record


class Inspection(Record):
    """What every kind of inspection has.

    `parameters` counts weights, biases and statistics; `sparsity` is the share (0 to 1) of exact
    zeros among weights of two and more dimensions, None where there are none.
    """

    path: str | None
    size_bytes: int
    sha256: str | None
    parameters: int
    sparsity: float | None
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """JSON text, indented by two, ended by a newline."""
        document = self.model_dump(mode="json")
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


class LayerFacts(Record):
    """One layer of a model, or one variable where the file tells no layers.

    `class_name` and `dtype` are empty where the file does not tell them; `weights` are the shapes.
    """

    name: str
    class_name: str = ""
    dtype: str = ""
    weights: tuple[tuple[int, ...], ...] = ()
    parameters: int = 0
    sparsity: float | None = None
    size_bytes: int = 0


class ModelInspection(Inspection):
    """A Keras model, in memory or in one of its file formats."""

    kind: Literal["model"] = "model"
    flavour: str
    name: str = ""
    class_name: str = ""
    keras_version: str | None = None
    inputs: tuple[BoundaryTensor, ...] = ()
    layers: tuple[LayerFacts, ...] = ()


class OpFacts(Record):
    """One op of a .tflite file and the first tensor that it writes.

    `arithmetic` is `float` when an activation that it reads or writes is, `conversion` for
    QUANTIZE and DEQUANTIZE, else `integer`. `scale` and `zero_point` are the output's;
    `weight_scales` counts the scales of the weights (1: per tensor, more: per channel).
    `parameters`, `sparsity` and `size_bytes` are of the constants that the op reads.
    """

    index: int
    op: str
    version: int
    arithmetic: Literal["integer", "float", "conversion"]
    tensor: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
    weight_dtype: str | None = None
    weight_scales: int = 0
    macs: int = 0
    parameters: int = 0
    sparsity: float | None = None
    size_bytes: int = 0
    remarks: tuple[str, ...] = ()


class TfliteInspection(Inspection):
    """A .tflite file: its first subgraph, op by op."""

    kind: Literal["tflite"] = "tflite"
    signatures: tuple[str, ...] = ()
    subgraphs: int = 1
    inputs: tuple[BoundaryTensor, ...]
    outputs: tuple[BoundaryTensor, ...]
    macs: int
    integer_ops: int
    float_ops: int
    conversion_ops: int
    weights_bytes: int
    op_counts: dict[str, int]
    ops: tuple[OpFacts, ...]


class BundleInspection(Inspection):
    """A bundle folder: how its file was made, the verdict over it, and the file itself.

    `files` maps each name to its bytes; `conversion` is what the conversion told,
    `target_facts` what the certificate says of the target beyond its gates.
    """

    kind: Literal["bundle"] = "bundle"
    profile: str
    target: str
    verdict: Literal["passed", "failed"]
    failed_checks: tuple[str, ...]
    sqnr_db: float | None
    agreement: float | None
    arena_bytes: int | None
    golden_samples: int
    golden_kernel_sets: tuple[str, ...]
    labels: tuple[str, ...] | None
    calibration: str | None
    versions: dict[str, str]
    conversion: dict[str, object]
    target_facts: dict[str, Any]
    files: dict[str, int]
    file: TfliteInspection
