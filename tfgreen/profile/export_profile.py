"""`ExportProfile`: one target, with the combinations that cannot work refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StringConstraints, ValidationError, model_validator

from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.profile.explaining import sentence
from tfgreen.profile.sections import (
    BoundaryType,
    Budgets,
    Encoding,
    KernelSets,
    Limits,
    OpName,
    RobustnessLimit,
    Scheme,
    Section,
    parse_bytes,
)
from tfgreen.profile.vela import VelaSettings

_BOUNDARY_TYPES: Mapping[str, tuple[str, ...]] = {
    "int8": ("int8", "uint8", "float32"),
    "int16x8": ("int16", "float32"),
    "float16": ("float32",),
    "dynamic-int8": ("float32",),
    "weights-int4": ("float32",),
}
_REFUSED_RUNTIMES: Mapping[tuple[str, str], str] = {
    ("float16", "micro"): "TensorFlow Lite Micro refuses files with float16 weights",
    ("dynamic-int8", "micro"): "TensorFlow Lite Micro refuses dynamic-range files, and loads "
    "weight-only int8 ones but computes them wrongly without a word",
    ("weights-int4", "micro"): "TensorFlow Lite Micro refuses files with 4-bit weights",
    ("weights-int4", "reference"): "the reference kernels compute blockwise 4-bit "
    "FULLY_CONNECTED wrongly without a word",
    **{
        (scheme, "numpy"): "the NumPy interpreter computes with integer activations"
        for scheme in ("float16", "dynamic-int8", "weights-int4")
    },
}


class ExportProfile(Section):
    """One target: dtypes, ops, budgets, limits, and the kernel set that is its truth.

    name: the file's name without .toml. summary, target: one line each, for people.
    scheme: how weights and activations are stored: `int8` (both), `int16x8` (16-bit
        activations, 8-bit weights), `float16` (weights), `dynamic-int8` (int8 weights,
        activations quantized while running), `weights-int4` (4-bit weights, float activations).
    input_type, output_type: dtype at the file's boundary. batch: samples a call, 1 by default.
    full_integer: no float op and no float tensor, except float32 input or output that is
        declared: then exactly the QUANTIZE and DEQUANTIZE at the boundary.
    weight_scales: "channel": one for each output channel, the default; "tensor": one for a whole
        kernel, for accelerators and DSPs that take no others.
    wider_layers: layers of 16 bits in an int8 file. "refused"; "repaired", the default: a repair
        may make some wide, and the profile of its bundle then says "allowed"; "allowed".
    ops: names of the builtin ops allowed; None allows every builtin.
    vela: for which NPU the file is compiled with Arm's Vela; None: it is not.
    edgetpu_rules: whether the published rules of the Coral Edge TPU's compiler are checked.
    encodings: how weights may be stored beside plainly: `sparse` where the runtime has DENSIFY
        (LiteRT), `lut` and `decode` where it has DECODE (TensorFlow Lite Micro). None by default.
    robustness: how much more than the float model the file may lose under corruption; None: that
        is not measured.
    notes: what cannot be checked on this machine, told with every certificate.
    """

    name: Annotated[str, StringConstraints(min_length=1)]
    summary: str
    target: str
    scheme: Scheme
    input_type: BoundaryType
    output_type: BoundaryType
    batch: Annotated[int, Field(ge=1)] = 1
    full_integer: bool
    weight_scales: Literal["channel", "tensor"] = "channel"
    wider_layers: Literal["refused", "repaired", "allowed"] = "repaired"
    ops: Annotated[tuple[OpName, ...], Field(strict=False)] | None = None
    encodings: Annotated[tuple[Encoding, ...], Field(strict=False)] = ()
    vela: VelaSettings | None = None
    edgetpu_rules: bool = False
    kernel_sets: KernelSets
    budgets: Budgets = Budgets()
    limits: Limits = Limits()
    robustness: RobustnessLimit | None = None
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @property
    def needs_calibration(self) -> bool:
        """Whether activations are quantized beforehand, so that their ranges must be known."""
        return self.scheme in {"int8", "int16x8"}

    @model_validator(mode="after")
    def _fits_the_runtimes(self) -> ExportProfile:
        reason = next(_objections(self), None)
        if reason is not None:
            raise ValueError(reason)
        return self

    def with_overrides(
        self,
        io: str | None = None,
        arena: int | str | None = None,
        flash: int | str | None = None,
        batch: int | None = None,
        vela: Mapping[str, str] | None = None,
    ) -> ExportProfile:
        """The same profile with another boundary, budget, batch or NPU, checked again.

        io: "uint8" for input and output, "uint8:float32" for input:output. arena, flash: bytes
        or text like "64KB" for budgets.arena_bytes and budgets.file_bytes. vela: keys of
        `VelaSettings` over the profile's, as {"accelerator_config": "ethos-u55-256"}.
        Raises UsageError (UnknownNameError for a dtype) when the combination does not exist.
        """
        fields: dict[str, Any] = self.model_dump()
        if io is not None:
            fields["input_type"], fields["output_type"] = _boundary_types(io)
        if arena is not None:
            fields["budgets"]["arena_bytes"] = parse_bytes(arena)
        if flash is not None:
            fields["budgets"]["file_bytes"] = parse_bytes(flash)
        if batch is not None:
            fields["batch"] = batch
        if vela is not None:
            fields["vela"] = {**(fields["vela"] or {}), **vela}
        try:
            return ExportProfile.model_validate(fields)
        except ValidationError as error:
            raise UsageError(sentence(f"profile {self.name}", error, ExportProfile)) from error


def _boundary_types(io: str) -> tuple[str, str]:
    input_type, _, output_type = io.partition(":")
    chosen = (input_type, output_type if ":" in io else input_type)
    for name in chosen:
        if name not in get_args(BoundaryType):
            raise UnknownNameError("input or output type", name, get_args(BoundaryType))
    return chosen


def _objections(profile: ExportProfile) -> Iterator[str]:
    """Why this combination cannot work, in the order in which to mend it."""
    scheme = profile.scheme
    if profile.full_integer and scheme not in ("int8", "int16x8"):
        yield (
            f"scheme '{scheme}' keeps float activations, so full_integer must be false; "
            "full_integer needs scheme int8 or int16x8"
        )
    for key in ("input_type", "output_type"):
        wanted, allowed = getattr(profile, key), _BOUNDARY_TYPES[scheme]
        if wanted not in allowed:
            yield (
                f"{key} is '{wanted}', but the tensors of scheme '{scheme}' can meet their "
                f"caller only as {' or '.join(allowed)}"
            )
    if profile.vela is not None and not profile.full_integer:
        yield "a [vela] table needs full_integer: Vela leaves every float op to the CPU"
    truth = profile.kernel_sets.truth
    for encoding in profile.encodings:
        if (encoding == "sparse") == (truth == "micro"):
            op = "DENSIFY" if encoding == "sparse" else "DECODE"
            yield f"encodings names '{encoding}', but the truth '{truth}' has no {op}; leave it out"
    for kernel_set in profile.kernel_sets.runs:
        reason = _REFUSED_RUNTIMES.get((scheme, kernel_set))
        if reason is not None:
            yield (
                f"kernel set '{kernel_set}' does not go with scheme '{scheme}': {reason}; take "
                f"it out of kernel_sets or choose another scheme"
            )
