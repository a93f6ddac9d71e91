"""TensorFlow's start-up lines: not in a verb's output, without hiding what matters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfgreen.cli.start_up_lines import LEVEL, without_start_up_lines

NATIVE = """
import os
os.write(2, b"I0000 00:00:1795498746.031534   23745 port.cc:153] oneDNN is on\\n")
os.write(2, b"WARNING: All log messages before absl::InitializeLog() ...\\n")
os.write(2, b"To enable the following instructions: AVX2 FMA, in other operations, rebuild ...\\n")
os.write(2, b"E0000 00:00:1795498746.031534   23745 a.cc:1] the disk is on fire\\n")
"""
LOADED = """
import sys
from tfgreen.cli.start_up_lines import without_start_up_lines
sys.path.insert(0, sys.argv[1])
sys.modules.pop("tensorflow", None)
with without_start_up_lines():
    import tensorflow
print(tensorflow.__spec__.loader.__class__.__name__, "before the last line", file=sys.stderr)
"""


def stderr_of(code: str, *arguments: str, **environment: str) -> str:
    plain = {key: value for key, value in os.environ.items() if key != LEVEL}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, timeout=120, env={**plain, **environment},
    )  # fmt: skip
    return done.stderr


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A folder with a package `tensorflow` whose libraries talk while they are loaded."""
    (tmp_path / "tensorflow.py").write_text(NATIVE)
    return tmp_path


def test_information_and_warnings_are_left_out_and_errors_are_not(made_up: Path) -> None:
    error, rest = stderr_of(LOADED, str(made_up)).splitlines()
    assert error.endswith("the disk is on fire")
    assert rest == "SourceFileLoader before the last line"


def test_the_last_words_of_a_process_are_told(made_up: Path) -> None:
    ending = 'os.write(2, b"F0000 no AVX on this machine")\nos.abort()\n'
    (made_up / "tensorflow.py").write_text(NATIVE + ending)
    assert "F0000 no AVX on this machine" in stderr_of(LOADED, str(made_up))


def test_an_import_that_fails_is_told_with_its_traceback(made_up: Path) -> None:
    (made_up / "tensorflow.py").write_text('raise ImportError("libcudart")')
    assert "ImportError: libcudart" in stderr_of(LOADED, str(made_up))


def test_who_asks_for_everything_gets_it(made_up: Path) -> None:
    assert "oneDNN" in stderr_of(LOADED, str(made_up), TF_CPP_MIN_LOG_LEVEL="0")


def test_the_process_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    finders = list(sys.meta_path)
    monkeypatch.delenv(LEVEL, raising=False)
    with without_start_up_lines():
        assert os.environ[LEVEL] == "3"
    assert LEVEL not in os.environ
    monkeypatch.setenv(LEVEL, "2")
    with without_start_up_lines():
        assert os.environ[LEVEL] == "2"
    assert os.environ[LEVEL] == "2"
    assert sys.meta_path == finders


def test_tensorflow_itself_says_nothing() -> None:
    """The verb imports it, and an op looks for GPUs."""
    code = """
import click, sys
from tfgreen.cli.verb import Verb
@click.command(cls=Verb)
@click.option("-v", "--verbose", count=True)
def verb(verbose):
    import tensorflow as tf
    tf.constant(1) + 1
verb()
"""
    assert stderr_of(code) == ""


def test_a_users_program_is_left_alone() -> None:
    code = f"""
import os, sys
before = list(sys.meta_path), dict(os.environ)
import tfgreen
tfgreen.load_recipe("pqat")
assert (list(sys.meta_path), dict(os.environ)) == before and {LEVEL!r} not in os.environ
"""
    assert stderr_of(code) == ""
