"""An inspection as text: a head of facts, then layers or ops one a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tfgreen.inspection import (
    BundleInspection,
    Inspection,
    LayerFacts,
    ModelInspection,
    OpFacts,
    TfliteInspection,
)
from tfgreen.preprocess import BoundaryTensor
from tfgreen.reporting.encoding_text import render_encodings
from tfgreen.reporting.npu_text import render_npu
from tfgreen.reporting.tables import bullet, facts, status, table
from tfgreen.reporting.wording import (
    bytes_text,
    count_text,
    mapping_text,
    printable,
    scale_text,
    shape_text,
)
from tfgreen.wording import share_text

_MAKERS = ("tfgreen", "tensorflow", "keras", "ai-edge-quantizer", "python")


def render_inspection(inspection: Inspection, *, short: bool = False) -> RenderableType:
    """An inspection for a terminal; `short` leaves out the layers and ops."""
    if isinstance(inspection, BundleInspection):
        parts = [*_bundle(inspection), Text(), *_tflite(inspection.file, short)]
    elif isinstance(inspection, TfliteInspection):
        parts = list(_tflite(inspection, short))
    elif isinstance(inspection, ModelInspection):
        parts = list(_model(inspection, short))
    else:
        parts = [facts(_sizes(inspection))]
    return Group(*parts, *(bullet(note, "yellow") for note in inspection.notes))


def _sizes(inspection: Inspection) -> Iterator[tuple[str, object]]:
    yield "size", bytes_text(inspection.size_bytes)
    yield "parameters", f"{inspection.parameters:,}"
    yield "zeros", f"{share_text(inspection.sparsity)} of the weights"
    if inspection.sha256 is not None:
        yield "sha256", inspection.sha256


def _title(inspection: Inspection, what: str) -> Text:
    return Text.assemble((printable(inspection.path or "In memory"), "bold"), f"  {what}")


def _model(model: ModelInspection, short: bool) -> Iterator[RenderableType]:
    keras = f", saved by Keras {model.keras_version}" if model.keras_version else ""
    yield _title(model, f"{model.flavour} {model.class_name}".strip() + keras)
    yield facts([*_sizes(model), *(("input", _boundary(tensor)) for tensor in model.inputs)])
    if short:
        return
    columns = ("layer", "=class", "=dtype", "weights", ">parameters", ">zeros", ">bytes")
    yield table("Layers", columns, [_layer(layer) for layer in model.layers])


def _layer(layer: LayerFacts) -> Sequence[object]:
    return (
        layer.name,
        layer.class_name,
        layer.dtype,
        ", ".join(shape_text(shape) for shape in layer.weights),
        count_text(layer.parameters),
        share_text(layer.sparsity) if layer.sparsity is not None else "",
        count_text(layer.size_bytes),
    )


def _tflite(file: TfliteInspection, short: bool) -> Iterator[RenderableType]:
    yield _title(file, ".tflite file")
    counts = [(file.integer_ops, "integer"), (file.float_ops, "float")]
    counts.append((file.conversion_ops, "quantize or dequantize"))
    yield facts(
        [
            *_sizes(file),
            ("weights", bytes_text(file.weights_bytes)),
            ("MACs", f"{file.macs:,}"),
            ("ops", ", ".join(f"{count} {name}" for count, name in counts)),
            *(("input", _boundary(tensor)) for tensor in file.inputs),
            *(("output", _boundary(tensor)) for tensor in file.outputs),
        ]
    )
    if short:
        return
    columns = (
        ">#", "=op", "~output", "=dtype", "=shape", "=scale / zero", "=weights", ">MACs",
        ">parameters", ">zeros", ">bytes",
    )  # fmt: skip
    yield table("Ops", columns, [_op(op) for op in file.ops])
    for op in file.ops:
        for remark in op.remarks:
            yield bullet(f"{op.op} (op {op.index}): {remark}", "yellow")


def _op(op: OpFacts) -> Sequence[object]:
    scales = f", {op.weight_scales} scales" if op.weight_scales > 1 else ""
    return (
        op.index,
        op.op,
        op.tensor,
        op.dtype,
        shape_text(op.shape),
        scale_text(op.scale, op.zero_point),
        f"{op.weight_dtype or ''}{scales}",
        count_text(op.macs),
        count_text(op.parameters),
        share_text(op.sparsity) if op.sparsity is not None else "",
        count_text(op.size_bytes),
    )


def _boundary(tensor: BoundaryTensor) -> str:
    text = f"{tensor.name}: {tensor.dtype} {shape_text(tensor.shape)}"
    if tensor.real_range is None:
        return text
    low, high = tensor.real_range
    quantization = scale_text(tensor.scale, tensor.zero_point)
    return f"{text}, scale / zero point {quantization}: {low:.4g} to {high:.4g}"


def _bundle(bundle: BundleInspection) -> Iterator[RenderableType]:
    yield _title(bundle, "bundle")
    yield facts(
        [
            ("verdict", status(bundle.verdict)),
            ("profile", f"{bundle.profile}: {bundle.target}"),
            ("route", mapping_text(bundle.conversion.get("route", "not told"))),
            ("calibration", bundle.calibration or "none"),
            ("golden", _golden(bundle)),
            ("made with", _made_with(bundle)),
        ]
    )
    yield from (bullet(message, "bold red") for message in bundle.failed_checks)
    encoding = bundle.conversion.get("encoding")
    if isinstance(encoding, Mapping) and encoding["is_told"]:
        yield render_encodings(encoding)
    yield from render_npu(bundle.target_facts)
    rows = [(name, f"{size_bytes:,}") for name, size_bytes in bundle.files.items()]
    yield table("Files", ("name", ">bytes"), rows)


def _made_with(bundle: BundleInspection) -> str:
    told = ((name, bundle.versions.get(name)) for name in _MAKERS)
    return ", ".join(f"{name} {version}" for name, version in told if version)


def _golden(bundle: BundleInspection) -> str:
    kernel_sets = ", ".join(bundle.golden_kernel_sets) or "no kernel set"
    return f"{bundle.golden_samples} samples, answered by {kernel_sets}"
