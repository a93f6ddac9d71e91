"""Vela as a child process: files and options in, its files and its words out.

Vela is C++ behind Python and can abort (on 4-bit weights it does); a child of its own keeps that
away from its caller, and a time limit ends it where it would not end.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfgreen.profile import VelaSettings
from tfgreen.profile.vela import ARM_CONFIG
from tfgreen.runtimes.process import ending, environment_of_children

Status = Literal["compiled", "refused", "crashed", "timed-out"]

_NAME = "model"
_LONGEST_WORDS = 300
_PREFIX = re.compile(r"^[\w.]+Error: ")  # the class of a Python exception


@dataclass(frozen=True)
class Run:
    """How one run of Vela ended.

    Attributes:
        status: `refused` is an error that Vela tells, `crashed` its death by a signal.
        words: Why, if it did not compile; empty else.
        content: The compiled file; empty if there is none.
        summary: Vela's summary, CSV of one header and one row.
        output: What it printed.
    """

    status: Status
    words: str = ""
    content: bytes = b""
    summary: str = ""
    output: str = ""


def run_vela(content: bytes, settings: VelaSettings, timeout_seconds: float) -> Run:
    """Compile a file in a child process; nothing that Vela does is raised."""
    config = settings.config_file
    if config != ARM_CONFIG and not Path(config).is_file():
        return Run("refused", f"there is no configuration file {config}")
    with tempfile.TemporaryDirectory(prefix="tfgreen-vela-") as name:
        folder = Path(name)
        (folder / f"{_NAME}.tflite").write_bytes(content)
        try:
            done = subprocess.run(
                _command(settings, folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment_of_children(),
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Run("timed-out", f"no answer within {timeout_seconds:g} seconds")
        output = done.stdout.decode("utf-8", "replace").replace(f"{folder}/", "")
        compiled = folder / f"{_NAME}_vela.tflite"
        summaries = sorted(folder.glob(f"{_NAME}_summary_*.csv"))
        if _was_killed(done.returncode):
            return Run("crashed", _told(ending(done.returncode), output), output=output)
        if done.returncode != 0 or not compiled.is_file() or not summaries:
            return Run("refused", _told(f"return code {done.returncode}", output), output=output)
        summary = summaries[0].read_text(encoding="utf-8")
        return Run("compiled", "", compiled.read_bytes(), summary, output)


def _command(settings: VelaSettings, folder: Path) -> list[str]:
    config = settings.config_file
    if config != ARM_CONFIG:
        config = str(Path(config).resolve())
    # -P: a module of the working directory is not what the child imports.
    return [
        *(sys.executable, "-P", "-W", "ignore", "-m", "ethosu.vela"),
        str(folder / f"{_NAME}.tflite"),
        *("--config", config),
        *("--accelerator-config", settings.accelerator_config),
        *("--system-config", settings.system_config),
        *("--memory-mode", settings.memory_mode),
        *("--output-dir", str(folder)),
    ]


def _was_killed(return_code: int) -> bool:
    """By a signal, told as itself or the way a shell tells it (136 is 128 + SIGFPE)."""
    return return_code < 0 or return_code > 128


def _told(how: str, output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"{how}: {_PREFIX.sub('', lines[-1])[:_LONGEST_WORDS]}" if lines else how
