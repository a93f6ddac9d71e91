"""`render_sources`: from a file and its golden vectors to a folder that a firmware compiles."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from tfgreen.flatbuffer import TfliteModel
from tfgreen.golden import Golden
from tfgreen.preprocess import Preprocess
from tfgreen.profile import ExportProfile
from tfgreen.targets.microcontroller.op_resolver import resolver_calls
from tfgreen.targets.microcontroller.sources.arrays import byte_rows
from tfgreen.targets.microcontroller.sources.boundary import CTensor, c_tensors
from tfgreen.targets.microcontroller.sources.filling import filled
from tfgreen.targets.microcontroller.sources.golden_part import GoldenPart
from tfgreen.targets.microcontroller.sources.names import c_identifier

FOLDER = "microcontroller"
_FALLBACK_ARENA_BYTES = 64 * 1024
_LONGEST_TITLE = 80

_CODE = {
    "src/{id}.h": "umbrella.h",
    "src/{id}/inference.h": "inference.h",
    "src/{id}/inference.cc": "inference.cc",
    "src/{id}/model_data.h": "model_data.h",
    "src/{id}/model_data.cc": "model_data.cc",
    "src/{id}/op_resolver.h": "op_resolver.h",
    "src/{id}/quantization.h": "quantization.h",
    "c/model_data.c": "model_data.c",
    "CMakeLists.txt": "CMakeLists.txt",
    "idf_component.yml": "idf_component.yml",
    "library.json": "library.json",
    "library.properties": "library.properties",
    "README.md": "README.md",
}
_GOLDEN = {
    "src/{id}/golden_data.h": "golden_data.h",
    "src/{id}/golden_data.cc": "golden_data.cc",
    "src/{id}/golden_test.h": "golden_test.h",
    "src/{id}/golden_test.cc": "golden_test.cc",
    "examples/golden_test/golden_test.ino": "golden_test.ino",
    "examples/golden_test_esp_idf/app_main.cc": "app_main.cc",
    "examples/golden_test_plain/main.cc": "main.cc",
}


def render_sources(
    content: bytes,
    profile: ExportProfile,
    golden: Golden,
    name: str,
    *,
    arena_bytes: int | None = None,
    is_measured: bool = True,
) -> dict[str, bytes]:
    """The sources of one file for TensorFlow Lite Micro.

    Args:
        content: The file, as it is shipped.
        profile: Its target; names the truth whose golden answers a board has to give.
        golden: Inputs and answers; without any the golden test is left out.
        name: The user's name for the model, any text; `c_identifier` makes one of it for C++.
        arena_bytes: Working memory that the file needs; else the profile's budget, else 64 KB.
        is_measured: Whether TFLM itself has told `arena_bytes`, which the sources say.

    Returns:
        Relative path → content, all in the folder `microcontroller/<identifier>`.

    Raises:
        InvalidModelError: the file is damaged.
        UnsupportedModelError: an op that TFLM does not register, or a dtype at the boundary that
            C++ has no type for.
    """
    model = TfliteModel.from_bytes(content)
    preprocess = Preprocess.of(model)
    inputs = c_tensors("Input", preprocess.inputs)
    outputs = c_tensors("Output", preprocess.outputs)
    part = GoldenPart.of(model, golden, profile.kernel_sets.truth)
    files = _CODE | (_GOLDEN if part else {})
    identifier = c_identifier(name)
    paths = {path.replace("{id}", identifier): template for path, template in files.items()}
    texts = {
        **_naming(name, identifier),
        **_model(content, model),
        **_boundary(identifier, inputs, outputs),
        **_arena(arena_bytes, profile.budgets.arena_bytes, is_measured=is_measured),
        **_packaging(paths, identifier, has_golden=part is not None),
        **(part.texts(inputs, outputs) if part else {}),
    }
    root = f"{FOLDER}/{identifier}"
    return {f"{root}/{path}": filled(template, texts) for path, template in paths.items()}


def _naming(name: str, identifier: str) -> dict[str, str]:
    title = re.sub(r"[^A-Za-z0-9 .+-]", "_", name)[:_LONGEST_TITLE].strip()
    return {"TITLE": title or identifier, "ID": identifier, "GUARD": identifier.upper()}


def _model(content: bytes, model: TfliteModel) -> dict[str, str]:
    calls = resolver_calls(model)
    return {
        "SHA256": hashlib.sha256(content).hexdigest(),
        "MODEL_BYTES": str(len(content)),
        "MODEL_ROWS": byte_rows(content),
        "OP_COUNT": str(len(calls)),
        "OP_CALLS": " &&\n         ".join(f"IsOk(resolver.{call}())" for call in calls),
    }


def _boundary(
    identifier: str, inputs: Sequence[CTensor], outputs: Sequence[CTensor]
) -> dict[str, str]:
    usage = _usage(identifier, inputs, outputs)
    is_plain = len(inputs) == len(outputs) == 1
    return {
        "TENSORS": "\n".join(tensor.constants for tensor in (*inputs, *outputs)),
        "INPUT_COUNT": str(len(inputs)),
        "OUTPUT_COUNT": str(len(outputs)),
        "INPUT_BYTES": ", ".join(str(tensor.size_bytes) for tensor in inputs),
        "OUTPUT_BYTES": ", ".join(str(tensor.size_bytes) for tensor in outputs),
        "STORES": "\n".join(tensor.store for tensor in inputs),
        "LOADS": "\n".join(tensor.load for tensor in outputs),
        "SHORT_RUN": _SHORT_RUN if is_plain else "",
        "USAGE": "\n".join(f"//   {line}" for line in usage),
        "README_USAGE": "\n".join(usage),
    }


_SHORT_RUN = """
// The same for the one input and the one output.
inline Status Run(const float* input, float* output) { return Run(&input, &output); }
"""


def _usage(identifier: str, inputs: Sequence[CTensor], outputs: Sequence[CTensor]) -> list[str]:
    """Lines that show a call."""
    tensors = (*inputs, *outputs)
    variables = [f"{t.role.lower()}{t.index}" for t in tensors]
    lines = [
        f"float {variable}[{identifier}::k{t.role}{t.name}Size];"
        for variable, t in zip(variables, tensors, strict=True)
    ]
    if len(tensors) == 2:
        lines.append(f"{identifier}::Run(input0, output0);")
    else:
        given, wanted = variables[: len(inputs)], variables[len(inputs) :]
        lines.append(f"const float* inputs[] = {{{', '.join(given)}}};")
        lines.append(f"float* outputs[] = {{{', '.join(wanted)}}};")
        lines.append(f"{identifier}::Run(inputs, outputs);")
    return lines


def _arena(
    needed_bytes: int | None, budget_bytes: int | None, *, is_measured: bool
) -> dict[str, str]:
    if needed_bytes is not None:
        origin = "Measured on a 64-bit host; a 32-bit board needs somewhat less."
        if not is_measured:
            origin = "Planned, with a reserve for TFLM's own records: nobody measured it."
        return {"ARENA_BYTES": str(-(-needed_bytes // 16) * 16), "ARENA_ORIGIN": origin}
    if budget_bytes is not None:
        return {"ARENA_BYTES": str(budget_bytes), "ARENA_ORIGIN": "The whole budget: unmeasured."}
    return {
        "ARENA_BYTES": str(_FALLBACK_ARENA_BYTES),
        "ARENA_ORIGIN": "A guess: nothing was measured.",
    }


def _packaging(paths: dict[str, str], identifier: str, *, has_golden: bool) -> dict[str, str]:
    sources = [path for path in paths if path.startswith("src/") and path.endswith(".cc")]
    golden_readme = filled("README_golden.md", {"ID": identifier}).decode() if has_golden else ""
    return {
        "COMPONENT_SOURCES": "\n".join(f'    "{path}"' for path in sources),
        "GOLDEN_INCLUDE": f'#include "{identifier}/golden_test.h"\n' if has_golden else "",
        "GOLDEN_README": golden_readme,
    }
