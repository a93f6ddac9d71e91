"""A C and a C++ compiler: gcc and g++, else clang, else those of the `ziglang` package."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wdouble-promotion", "-pedantic", "-Werror")
STAND_IN = Path(__file__).parent / "tflm_stand_in"


def compiler(language: str) -> list[str]:
    """The command for "c" or "c++"; skips the test on a machine that has none."""
    for name in {"c": ("gcc", "clang"), "c++": ("g++", "clang++")}[language]:
        if found := shutil.which(name):
            return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", {"c": "cc", "c++": "c++"}[language]]
    pytest.skip("needs gcc, clang, or `pip install ziglang`")


def compiled(
    sources: Sequence[Path], program: Path, *, standard: str, options: Sequence[str] = ()
) -> Path:
    """Compile and link `sources` without a warning; `standard` is "c99" or "c++17", say."""
    language = "c++" if standard.startswith("c++") else "c"
    command = [*compiler(language), f"-std={standard}", *WARNINGS, "-O1", *options]
    command += [*map(str, sources), "-o", str(program)]
    # Where it is zig, the first call of all also compiles the C++ library: that takes a minute.
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stderr}"
    return program


def output_of(program: Path, *arguments: str) -> bytes:
    """What a program prints; it has to end well."""
    return subprocess.run(
        [str(program), *arguments], check=True, capture_output=True, timeout=60
    ).stdout
