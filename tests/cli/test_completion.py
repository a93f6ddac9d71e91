"""The scripts of the three shells, and what is answered while a shell asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from tfgreen.cli.completion import SHELLS
from tfgreen.cli.main import tfgreen_command
from tfgreen.profile import list_profiles

ROOT = Path(__file__).parents[2]


def answers(*words: str, incomplete: str) -> list[tuple[str, str]]:
    """(type, value) of what would be offered behind `tfgreen words...`."""
    shell = BashComplete(tfgreen_command, {}, "tfgreen", "_TFGREEN_COMPLETE")
    return [(item.type, item.value) for item in shell.get_completions(list(words), incomplete)]


@pytest.mark.parametrize("shell", SHELLS)
def test_script(shell: str) -> None:
    done = CliRunner().invoke(tfgreen_command, ["completion", shell])
    assert done.exit_code == 0
    assert f"_TFGREEN_COMPLETE={shell}_complete" in done.stdout
    assert done.stdout == CliRunner(env={"SHELL": f"/bin/{shell}"}).invoke(
        tfgreen_command, ["completion"]
    ).stdout  # fmt: skip


def test_an_unknown_shell_of_ones_own() -> None:
    done = CliRunner(env={"SHELL": "/bin/tcsh"}).invoke(tfgreen_command, ["completion"])
    assert done.exit_code == 2
    assert "$SHELL is 'tcsh'; expected one: bash, zsh, fish." in done.stderr


def test_what_is_offered() -> None:
    assert answers(incomplete="exp") == [("plain", "export"), ("plain", "export-decoder")]
    assert answers("export", incomplete="kws") == [("file", "kws")]
    assert answers("export", "kws.keras", "--calibration", incomplete="c") == [("file", "c")]
    assert ("plain", "--evaluate") in answers("export", "kws.keras", incomplete="--e")
    assert answers("export", "kws.keras", "-o", incomplete="b") == [("file", "b")]


def test_profiles_are_offered() -> None:
    expected = [("plain", name) for name in list_profiles() if name.startswith("ethos")]
    assert answers("profiles", incomplete="ethos") == expected
    assert answers("export", "k", "--profile", incomplete="ethos") == expected
    assert answers("export", "k", "--profile", incomplete="mine/") == [("file", "mine/")]


def test_recipes_are_offered() -> None:
    expected = [("plain", "pqat"), ("plain", "prune-80-ptq"), ("plain", "ptq")]
    assert [one for one in answers("recipes", incomplete="p") if one in expected] == expected
    assert answers("compress", "k", "--recipe", incomplete="qat") == [("plain", "qat")]
    assert answers("compress", "k", "--recipe", incomplete="mine/") == [("file", "mine/")]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(tmp_path: Path) -> None:
    """A real bash sources the script and calls the function that it registered."""
    command = tmp_path / "tfgreen"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tfgreen "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    script = (
        'eval "$(tfgreen completion bash)" && complete -p tfgreen >&2\n'
        "COMP_WORDS=(tfgreen dia) COMP_CWORD=1\n"
        '_tfgreen_completion tfgreen && echo "${COMPREPLY[@]}"\n'
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "diagnose\n", done.stderr
    assert "_tfgreen_completion" in done.stderr
