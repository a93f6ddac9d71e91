"""Export profiles: what a target accepts, what it promises, and which kernel set is its truth.

A profile is one TOML file. The bundled ones lie in `export_profiles/`; a user's own is given by
its path. Everything is checked when the profile is read: unknown keys at every depth, types, and
combinations that a runtime cannot load or computes wrongly.

>>> profile = load_profile("mobile-int8")
>>> profile.kernel_sets.truth
'xnnpack'
>>> profile.with_overrides(io="uint8:float32", arena="64KB").budgets.arena_bytes
65536
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from tfgreen.errors import InvalidProfileError, MissingPathError, UnknownNameError, UsageError

DEFAULT_PROFILE = "mobile-int8"

Scheme = Literal["int8", "int16x8", "float16", "dynamic-int8", "weights-int4"]
BoundaryType = Literal["int8", "uint8", "int16", "float32"]
Encoding = Literal["sparse", "lut", "decode"]
KernelSet = Literal["reference", "optimized", "xnnpack", "micro", "numpy"]

_BYTE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 1024,
    "kib": 1024,
    "mb": 1024**2,
    "mib": 1024**2,
    "gb": 1024**3,
    "gib": 1024**3,
}

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


def parse_bytes(size: int | str) -> int:
    """Bytes from an int or from text such as "64KB", "1.5MB", "8GB" or "4096" (1 KB = 1024 bytes).

    Raises UsageError for anything else, for zero and for a fraction of a byte.

    >>> parse_bytes("64KB"), parse_bytes("1.5 MB"), parse_bytes(512)
    (65536, 1572864, 512)
    """
    expected = "expected a positive whole number of bytes or a text like '64KB' or '1.5MB'"
    if isinstance(size, bool) or not isinstance(size, int | str):
        raise UsageError(f"Received the size {size!r}; {expected}.")
    if isinstance(size, int) and size >= 1:
        return size
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)\s*", str(size).lower())
    if found is None or found[2] not in _BYTE_UNITS:
        raise UsageError(f"Received the size '{size}'; {expected}.")
    size_bytes = float(found[1]) * _BYTE_UNITS[found[2]]
    if size_bytes < 1 or size_bytes != int(size_bytes):
        raise UsageError(f"Received the size '{size}', which is {size_bytes:g} bytes; {expected}.")
    return int(size_bytes)


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


SizeBytes = Annotated[int, BeforeValidator(parse_bytes)]
Share = Annotated[float, Field(ge=0, le=1)]
OpName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]


class Budgets(_Section):
    """Most bytes that the file and the tensor arena may take; None means no budget.

    TOML takes ints or texts: `arena_bytes = "64KB"`. The arena is measured by TensorFlow Lite
    Micro on a 64-bit host, where it is somewhat larger than on a 32-bit target.
    """

    file_bytes: SizeBytes | None = None
    arena_bytes: SizeBytes | None = None


class KernelSets(_Section):
    """Which kernels decide (`truth`) and which are only held against them (`compared`).

    `reference` is TFLite's plain reference kernels, `optimized` its CPU kernels without any
    delegate, `xnnpack` what phones and desktops run by default, `micro` TensorFlow Lite Micro,
    `numpy` our own interpreter with the rounding of the truth (of `reference` if it is the truth).
    An op that the truth does not register fails the certificate; elsewhere it is told.
    """

    truth: KernelSet
    compared: Annotated[tuple[KernelSet, ...], Field(strict=False)] = ()

    @property
    def runs(self) -> tuple[str, ...]:
        """Every kernel set to run, the truth first."""
        return (self.truth, *self.compared)

    @model_validator(mode="after")
    def _each_once(self) -> KernelSets:
        repeated = sorted({name for name in self.runs if self.runs.count(name) > 1})
        if repeated:
            raise ValueError(
                f"{repeated[0]!r} is named twice; name each kernel set once, "
                "as truth or in compared"
            )
        return self


class Limits(_Section):
    """What the gates allow. The defaults suit classifiers in int8; a profile may tighten them.

    op_quanta: largest step between a kernel set and the oracle (the truth, where activations are
        floats) for one op fed the same input.
        1: kernel sets round differently by design, and every sound op compared so far stays
        within 1 quantum. Float tensors count 1e-5 of their range as a quantum.
    sqnr_db: least signal-to-quantization-noise ratio in dB at the last tensor before softmax,
        against the float model. 10: the noise has a tenth of the signal's power. A residual
        network that TF's calibrator had broken showed 8.3 dB (and half its answers changed),
        the same network with right ranges 11.1 dB, sound files 15-45 dB. The same holds end to
        end between a kernel set and the truth, at outputs that hold no classes, unless no step
        is larger than op_quanta.
    agreement: least share of samples on which file and float model pick the same class. 0.95.
    metric_drop: most that the metric (accuracy, as a share) may fall below the float model's,
        absolute. 0.02 is two points.
    runtime_quanta: largest output step between a kernel set and the truth, end to end. None (no
        limit): steps of 1 grow with depth and softmax, to 81 on a sound residual network.
    runtime_argmax_share: most samples, as a share, whose class may differ between a kernel set
        and the truth, end to end. 0.05.
    """

    op_quanta: Annotated[int, Field(ge=0)] = 1
    sqnr_db: float = 10.0
    agreement: Share = 0.95
    metric_drop: Share = 0.02
    runtime_quanta: Annotated[int, Field(ge=0)] | None = None
    runtime_argmax_share: Share = 0.05


class ExportProfile(_Section):
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
    encodings: how weights may be stored beside plainly: `sparse` where the runtime has DENSIFY
        (LiteRT), `lut` and `decode` where it has DECODE (TensorFlow Lite Micro). None by default.
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
    kernel_sets: KernelSets
    budgets: Budgets = Budgets()
    limits: Limits = Limits()
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
    ) -> ExportProfile:
        """The same profile with another boundary, budget or batch, checked again.

        io: "uint8" for input and output, "uint8:float32" for input:output. arena, flash: bytes
        or text like "64KB" for budgets.arena_bytes and budgets.file_bytes.
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
        try:
            return ExportProfile.model_validate(fields)
        except ValidationError as error:
            raise UsageError(_sentence(f"profile {self.name}", error)) from error


def list_profiles() -> tuple[str, ...]:
    """Names of the bundled profiles, sorted."""
    return tuple(sorted(path.stem for path in _bundled_folder().glob("*.toml")))


def profile_path(name: str) -> Path:
    """The TOML file of a bundled profile. Raises UnknownNameError with the known names."""
    known = list_profiles()
    if name not in known:
        raise UnknownNameError("profile", name, known)
    return _bundled_folder() / f"{name}.toml"


def load_profile(name_or_path: str | Path | ExportProfile = DEFAULT_PROFILE) -> ExportProfile:
    """A profile by the name of a bundled one, by the path of a TOML file, or as it is.

    A text is a path when it ends in .toml or holds a path separator. Raises UnknownNameError,
    MissingPathError, or InvalidProfileError for a file that is no sound profile.
    """
    if isinstance(name_or_path, ExportProfile):
        return name_or_path
    text = str(name_or_path)
    if not isinstance(name_or_path, Path) and not re.search(r"[/\\]|\.toml$", text):
        return _read(profile_path(text))
    path = Path(name_or_path)
    if not path.exists():
        raise MissingPathError(
            f"There is no profile file {path}. Give a path that exists or one of: "
            f"{', '.join(list_profiles())}."
        )
    return _read(path)


def _bundled_folder() -> Path:
    package = Path(__file__).resolve().parent
    for folder in (package / "_export_profiles", package.parent / "export_profiles"):
        if folder.is_dir():
            return folder
    raise InvalidProfileError(
        f"The bundled profiles are missing beside {package}: the installation is incomplete. "
        "Reinstall tfgreen."
    )


def _read(path: Path) -> ExportProfile:
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidProfileError(
            f"Profile {path} cannot be read: {error.strerror}. Expected a TOML file."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidProfileError(
            f"Profile {path} is not a TOML file: {error}. Start from a bundled profile."
        ) from error
    try:
        return ExportProfile.model_validate({"name": path.stem} | fields)
    except ValidationError as error:
        raise InvalidProfileError(_sentence(f"profile {path}", error)) from error


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


def _sentence(where: str, error: ValidationError) -> str:
    """Phrase pydantic's first complaint as one sentence, and count the others."""
    # A misspelt key is also a missing one; the spelling is what there is to mend.
    complaints = sorted(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    first = complaints[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"unknown key '{key}'.{_closest_key(key)}"
    elif first["type"] == "missing":
        text = f"the key '{key}' is missing"
    elif "error" in first.get("ctx", {}):
        text = f"{key + ': ' if key else ''}{first['ctx']['error']}".rstrip(".")
    else:
        received = f"{first['input']!r} ({type(first['input']).__name__})"
        text = f"'{key}' is {received}, but {re.sub('^(Input|String) ', '', first['msg'])}"
    more = f" ({len(complaints) - 1} more to mend.)" if len(complaints) > 1 else ""
    return f"In {where}: {text}.{more}"


def _known_keys(section: type[BaseModel] = ExportProfile, prefix: str = "") -> list[str]:
    """Every key and every table, those inside tables with the table's name before them."""
    keys: list[str] = []
    for name, field in section.model_fields.items():
        kind = field.annotation
        keys.append(prefix + name)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += _known_keys(kind, f"{prefix}{name}.")
    return keys


def _closest_key(key: str) -> str:
    """Hint at the known key that is spelt alike, wherever it lives, and at the key's neighbours."""
    known = _known_keys()
    leaves = {name.rpartition(".")[2]: name for name in known}
    close = difflib.get_close_matches(key, known, n=1)
    leaf = difflib.get_close_matches(key.rpartition(".")[2], leaves, n=1)
    best = close or [leaves[name] for name in leaf]
    hint = f" Did you mean '{best[0]}'?" if best else ""
    section = key.rpartition(".")[0]
    neighbours = [name for name in known if name.rpartition(".")[0] == section] or known
    return f"{hint} Known keys there: {', '.join(neighbours)}"
