"""What the logger "tfgreen" is told: silent by default, on stderr with -v, as a program likes."""

from __future__ import annotations

import logging

import click
import pytest
from click.testing import CliRunner

from tests.tiny_models import int8_classifier
from tfgreen.cli import options
from tfgreen.cli.verb import Verb
from tfgreen.flatbuffer import TfliteModel
from tfgreen.reporting.progress import progress
from tfgreen.runtimes import Task, run_tasks
from tfgreen.verification.workload import random_inputs


@click.command(cls=Verb)
@options.talk
def verb(verbose: int, quiet: bool) -> None:
    """Tell something at each level."""
    logger = logging.getLogger("tfgreen.somewhere")
    logger.debug("a step")
    logger.info("a process")
    logger.warning("a warning")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ""),
        (["-q"], ""),
        (["-v"], "tfgreen.somewhere: a process\ntfgreen.somewhere: a warning\n"),
        (
            ["-vv"],
            "tfgreen.somewhere: a step\ntfgreen.somewhere: a process\n"
            "tfgreen.somewhere: a warning\n",
        ),
    ],
)
def test_verbose(arguments: list[str], expected: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tfgreen")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with caplog.at_level(logging.DEBUG):  # a handler of the root, as absl's is
        done = CliRunner().invoke(verb, arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", expected)
    assert bool(caplog.records) == (not expected)
    assert (logger.level, logger.propagate, list(logger.handlers)) == before


def test_silent_without_a_handler_of_the_program() -> None:
    import tfgreen

    handlers = logging.getLogger(tfgreen.__name__).handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


def test_what_is_told(caplog: pytest.LogCaptureFixture) -> None:
    content = int8_classifier()
    inputs = random_inputs(TfliteModel.from_bytes(content), 2)
    with caplog.at_level(logging.INFO, logger="tfgreen"):
        run_tasks("xnnpack", [Task("a", content, inputs), Task("b", content, inputs)])
    (record,) = [one for one in caplog.records if one.name == "tfgreen.runtimes.session"]
    assert record.getMessage().startswith("xnnpack kernels: 2 ok, ")


def test_steps_are_told_also_when_quiet(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="tfgreen"), progress(quiet=True) as tell:
        tell("reading", 0, 0)
        tell("reading", 1, 2)
        tell("judging", 0, 0)
    assert [one.getMessage() for one in caplog.records] == ["reading", "judging"]
