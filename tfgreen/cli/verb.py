"""How every verb runs: with the log on stderr if asked for, an exit code, one sentence of error."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import click

FAILED, GATE_FAILED, INTERRUPTED = 1, 3, 130
HELP_OPTION_NAMES = ("-h", "--help")
_SHOWS_EVERYTHING = 2


class Verb(click.Command):
    """A command whose errors are messages on stderr; `-vv` shows the traceback before.

    `-v` shows what the logger "tfgreen" is told at INFO, `-vv` at DEBUG, and what TensorFlow says
    about the machine when it starts. `interrupted` is what Ctrl-C is answered with.
    """

    interrupted = "Interrupted; nothing was written."

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """The group's, also for a verb called alone: click keeps the first option it makes."""
        return list(HELP_OPTION_NAMES)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; exit with the error's own code if there is one."""
        verbose = ctx.params.get("verbose", 0)
        try:
            with _log_on_stderr(verbose), _tensorflow_on_stderr(verbose):
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo(self.interrupted, err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - the last place where it can become a sentence
            ctx.exit(_tell(error, verbose))


class _ToStderr(logging.Handler):
    """Writes to what stderr is at the moment: a moving progress line takes its place."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


@contextmanager
def _log_on_stderr(verbose: int) -> Iterator[None]:
    if not verbose:
        yield
        return
    logger, handler = logging.getLogger("tfgreen"), _ToStderr()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO if verbose < _SHOWS_EVERYTHING else logging.DEBUG)
    logger.propagate = False  # importing TensorFlow brings a handler, which would tell all again
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def _tensorflow_on_stderr(verbose: int) -> AbstractContextManager[None]:
    """What TensorFlow says about the machine when it starts is told to nobody but `-vv`."""
    if verbose >= _SHOWS_EVERYTHING:
        return nullcontext()
    from tfgreen.cli.start_up_lines import without_start_up_lines

    return without_start_up_lines()


def _tell(error: Exception, verbose: int) -> int:
    """Print what went wrong; returns the exit code."""
    from tfgreen.errors import TfgreenError

    if verbose >= _SHOWS_EVERYTHING:
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True)
    if isinstance(error, TfgreenError):
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    what = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
    hint = "" if verbose >= _SHOWS_EVERYTHING else " Run again with -vv for the traceback."
    click.echo(f"Error: unexpected {what}.{hint}", err=True)
    return FAILED
