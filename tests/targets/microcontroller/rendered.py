"""Rendered sources on disk, read back as text, and run on a board that is made up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.targets.microcontroller.compiling import STAND_IN, compiled
from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.golden import Golden
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.runtimes import quantize_inputs
from tfgreen.targets.microcontroller.sources import c_identifier, render_sources

_TYPES = {
    "std::int8_t": np.int8,
    "std::uint8_t": np.uint8,
    "std::int16_t": np.int16,
    "std::int32_t": np.int32,
    "float": np.float32,
    "unsigned char": np.uint8,
}
PROFILE = load_profile("microcontroller-int8")


def written(files: Mapping[str, bytes], folder: Path) -> None:
    """Save what was rendered."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def c_arrays(source: str) -> dict[str, np.ndarray]:
    """Every array that a C++ source defines, name → its numbers."""
    found = {}
    for c_type, name, body in re.findall(r"const ([\w: ]+?) (\w+)\[[^\]]*\] = \{([^}]*)\}", source):
        texts = [text.strip() for text in body.split(",") if text.strip()]
        if c_type == "float":
            numbers = {"NAN": "nan", "INFINITY": "inf", "-INFINITY": "-inf"}
            values = [float(numbers.get(text, text.removesuffix("f"))) for text in texts]
        else:
            values = [int(text, 0) for text in texts]
        found[name] = np.array(values, _TYPES[c_type])
    return found


def golden_of(
    content: bytes, values: np.ndarray | Mapping[str, np.ndarray], answers: Sequence[np.ndarray]
) -> Golden:
    """Golden vectors with made-up answers of the truth."""
    model = TfliteModel.from_bytes(content)
    inputs = values if isinstance(values, Mapping) else {model.input_names[0]: values}
    file_inputs = quantize_inputs(model, Samples(dict(inputs), source="test"))
    return Golden(dict(inputs), file_inputs, {"micro": tuple(answers)})


class Project:
    """Sources in a folder, and a made-up board that answers as it is told."""

    def __init__(
        self,
        folder: Path,
        content: bytes,
        golden: Golden,
        name: str = "kws",
        profile: ExportProfile = PROFILE,
    ) -> None:
        self.folder, self.content, self.golden = folder, content, golden
        self.identifier = c_identifier(name)
        self.root = folder / "microcontroller" / self.identifier
        self.files = render_sources(content, profile, golden, name, arena_bytes=1000)
        written(self.files, folder)

    def text(self, path: str) -> str:
        """A rendered file, `{id}` in its path filled."""
        return (self.root / path.replace("{id}", self.identifier)).read_text()

    def compile(
        self,
        main: str | Path,
        answers: Sequence[np.ndarray] = (),
        *,
        standard: str = "c++11",
        options: Sequence[str] = (),
        arena_bytes: int = 1000,
    ) -> Path:
        """A program of all sources, `main`, and a board that answers `answers` to the golden
        inputs and refuses others."""
        if isinstance(main, str):
            (self.folder / "main.cc").write_text(main)
            main = self.folder / "main.cc"
        board = self.folder / "board.cc"
        board.write_text(board_source(self.golden, answers, arena_bytes))
        sources = [main, board, *sorted((self.root / "src" / self.identifier).glob("*.cc"))]
        includes = [f"-I{self.root / 'src'}", f"-I{STAND_IN}", "-DTF_LITE_STATIC_MEMORY"]
        return compiled(
            sources, self.folder / "program", standard=standard, options=[*includes, *options]
        )


def board_source(golden: Golden, answers: Sequence[np.ndarray], arena_bytes: int) -> str:
    """The definition of `stand_in::board`: a table of what it answers to which inputs."""
    both = (golden.file_inputs, answers)
    rows = []
    for vector in range(len(golden)):
        given, wanted = (_vectors(arrays, vector) for arrays in both)
        rows.append(f"  {{{{{given}}}, {{{wanted}}}}},\n")
    sizes = [", ".join(str(array[0].nbytes) for array in arrays) for arrays in both]
    return (
        '#include "tensorflow/lite/micro/stand_in.h"\n'
        "namespace stand_in {\nnamespace {\n"
        "struct Row {\n  std::vector<Bytes> inputs, outputs;\n};\n"
        f"const Row rows[] = {{\n{''.join(rows)}}};\n"
        "bool Invoke(const std::vector<Bytes>& inputs, std::vector<Bytes>& outputs) {\n"
        "  for (const Row& row : rows) {\n"
        "    if (row.inputs != inputs) continue;\n"
        "    for (std::size_t i = 0; i < outputs.size(); ++i) {\n"
        "      for (std::size_t k = 0; k < outputs[i].size(); ++k) {\n"
        "        outputs[i][k] = row.outputs[i][k];\n"
        "      }\n    }\n    return true;\n  }\n  return false;\n}\n}  // namespace\n"
        f"const Board board = {{{{{sizes[0]}}}, {{{sizes[1]}}}, {arena_bytes}, Invoke}};\n"
        "}  // namespace stand_in\n"
    )  # fmt: skip


def _vectors(arrays: Sequence[np.ndarray], vector: int) -> str:
    return ", ".join(f"{{{', '.join(map(str, array[vector].tobytes()))}}}" for array in arrays)
