"""The exceptions of tfgreen: one tree, each also the builtin that fits.

Every message says what was received, what was expected and what to do. `exit_code` is the code
with which the command line ends when the error reaches it::

    TfgreenError                              1
    ├── UsageError (ValueError)               2   the call itself is off
    │   ├── UnknownNameError                  2   a name that is not in the list of known ones
    │   └── MissingPathError (FileNotFoundError)  2
    ├── InvalidModelError (ValueError)        1   damaged or not a model
    │   └── UnsafeModelError                  1   would run code that came with the file
    ├── UnsupportedModelError (TypeError)     1   sound, but there is no way to do it
    ├── InvalidDataError (ValueError)         1   calibration or evaluation data
    ├── InvalidProfileError (ValueError)      1   an export profile that cannot be read
    ├── InvalidRecipeError (ValueError)       1   a recipe that cannot be read
    ├── ConversionError (RuntimeError)        1   the converter failed or died
    ├── KernelSetError (RuntimeError)         1   a runtime failed or died
    ├── RemoteHostError (ConnectionError)     1   another machine cannot be used over ssh
    ├── OutputError (OSError)                 1   the result could not be written
    │   └── OutputExistsError (FileExistsError)  1   and nothing is overwritten without force
    ├── MissingDependencyError (ImportError)  1   names the pip line that installs it
    ├── IntegrityError (ValueError)           3   a hash does not match
    └── GateError (RuntimeError)              3   a gate of the certificate failed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfgreen.bundle import Bundle
    from tfgreen.generative.decoder_bundle import DecoderBundle


class TfgreenError(Exception):
    """Whatever tfgreen raises on purpose; catch it to catch them all."""

    exit_code = 1


class UsageError(TfgreenError, ValueError):
    """The call is off: an option, an argument or a combination that does not exist."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not among the known ones; the message lists them and the closest.

    >>> str(UnknownNameError("profile", "mobile-int9", ["mobile-int8", "coral"]))
    "Unknown profile 'mobile-int9'. Did you mean 'mobile-int8'? Known: coral, mobile-int8."
    """

    def __init__(self, noun: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        super().__init__(f"Unknown {noun} '{name}'.{hint} Known: {', '.join(names)}.")


class MissingPathError(UsageError, FileNotFoundError):
    """A path that was given and does not exist."""


class InvalidModelError(TfgreenError, ValueError):
    """The file is damaged, truncated, or no model at all."""


class UnsafeModelError(InvalidModelError):
    """Loading the file would run code that came with it, and nobody allowed that."""


class UnsupportedModelError(TfgreenError, TypeError):
    """The model is sound, but what was asked cannot be done with it."""


class InvalidDataError(TfgreenError, ValueError):
    """Calibration or evaluation data that do not fit the model or cannot be read."""


class InvalidProfileError(TfgreenError, ValueError):
    """An export profile with an unknown key, a wrong value or a forbidden combination."""


class InvalidRecipeError(TfgreenError, ValueError):
    """A recipe with a wrong value, or a file that holds none."""


class ConversionError(TfgreenError, RuntimeError):
    """The converter refused the model, died, or ran out of time or memory."""


class KernelSetError(TfgreenError, RuntimeError):
    """A kernel set could not be started, died, or ran out of time."""


class RemoteHostError(TfgreenError, ConnectionError):
    """Another machine could not be reached over ssh, or lacks what is needed there."""


class OutputError(TfgreenError, OSError):
    """The result could not be written; nothing half-written is left behind."""


class OutputExistsError(OutputError, FileExistsError):
    """The output exists already, and overwriting was not asked for."""


class MissingDependencyError(TfgreenError, ImportError):
    """An optional package is missing; the message names the pip line that installs it."""


class IntegrityError(TfgreenError, ValueError):
    """A file is not the one that the manifest describes."""

    exit_code = 3


class GateError(TfgreenError, RuntimeError):
    """A gate of the certificate failed; `bundle` can be looked at, and saved, all the same."""

    exit_code = 3

    def __init__(self, message: str, bundle: Bundle | DecoderBundle) -> None:
        super().__init__(message)
        self.bundle = bundle
