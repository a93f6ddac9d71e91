"""Conversion as the caller sees it: hand over a model, get files back, whatever happens there.

TensorFlow never enters the calling process. The child is `python -m tfgreen.tflite.worker` fed
files, so that neither a fork of a TensorFlow process nor a second import of the user's script is
needed; when the converter aborts or runs out of memory, that is one error here. Whatever ends the
call (an error, Ctrl-C, a time limit) ends the child.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfgreen import errors
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.signature import InputSpec
from tfgreen.tflite import worker
from tfgreen.tflite.child import Child
from tfgreen.tflite.treatment import Treated, Treatment

OnProgress = Callable[[str, int, int], None]

_LOGGER = logging.getLogger(__name__)

_WORKER = worker.__name__
_TIME_LIMIT_SECONDS = 3600.0
_MIN_BYTES = 100


@dataclass(frozen=True)
class ConversionOptions:
    """What a conversion may do.

    custom_objects: `module` or `module:name` imported in the child for the model's own classes.
    allow_unsafe: load a model that carries code (Lambda layers, unknown classes).
    allow_select_ops: TensorFlow ops in the file (Flex) where no builtin op exists.
    memory_limit_bytes: address space of the child; None for none. Ignored on Windows.
    timeout_seconds: the child is ended after this long; an hour by default.
    """

    custom_objects: str | None = None
    allow_unsafe: bool = False
    allow_select_ops: bool = False
    memory_limit_bytes: int | None = None
    timeout_seconds: float = _TIME_LIMIT_SECONDS


@dataclass(frozen=True)
class Conversion:
    """The files that came out, and how: `facts` is ready for JSON."""

    content: bytes
    float_content: bytes
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    facts: Mapping[str, Any]


def convert(
    model: Path | str,
    profile: ExportProfile,
    calibration: Mapping[str, np.ndarray] | None,
    options: ConversionOptions | None = None,
    on_progress: OnProgress | None = None,
) -> Conversion:
    """Convert a model file to the quantized file of a profile.

    model: a path that `tfgreen.models.loading.identify` knows, or `module:function`.
    calibration: arrays of shape (n, *input shape) by input name; None where the scheme needs
        none. Raises ConversionError or whatever the loading of the model raises.
    """
    return _run("convert", model, profile, calibration, options, on_progress)


def convert_float(
    model: Path | str,
    options: ConversionOptions | None = None,
    on_progress: OnProgress | None = None,
    batch: int = 1,
) -> Conversion:
    """Convert a model file to a float file alone; `content` is the float file too."""
    profile = load_profile().with_overrides(batch=batch)
    return _run("convert-float", model, profile, None, options, on_progress)


def describe(
    model: Path | str, options: ConversionOptions | None = None
) -> tuple[tuple[InputSpec, ...], tuple[str, ...]]:
    """Inputs and output names of a model whose file does not tell them without TensorFlow."""
    with exchange_folder() as folder:
        facts = _work(folder, "describe", model, load_profile(), None, options, None)
    return _specs(facts), tuple(facts["outputs"])


def treat(
    treatment: Treatment,
    float_content: bytes,
    content: bytes,
    profile: ExportProfile,
    samples: Mapping[str, np.ndarray],
    options: ConversionOptions | None = None,
    on_progress: OnProgress | None = None,
) -> Treated:
    """Carry out a treatment of a quantized file in a child process.

    samples: arrays of shape (n, *input shape) by input name. Raises ConversionError when no
    engine can quantize what came out.
    """
    with exchange_folder() as folder:
        try:
            (folder / worker.GIVEN_FLOAT).write_bytes(float_content)
            (folder / worker.GIVEN).write_bytes(content)
        except OSError as error:
            raise _no_files(error) from error
        name = f"the repair '{treatment.kind}'"
        order = {"treatment": treatment.to_json()}
        told = _work(folder, "treat", name, profile, samples, options, on_progress, order)
        return Treated(
            (folder / worker.MODEL).read_bytes(),
            (folder / worker.FLOAT).read_bytes(),
            told["is_changed"],
            told["said"],
            told["facts"],
        )


def _run(
    job: Literal["convert", "convert-float"],
    model: Path | str,
    profile: ExportProfile,
    calibration: Mapping[str, np.ndarray] | None,
    options: ConversionOptions | None,
    on_progress: OnProgress | None,
) -> Conversion:
    with exchange_folder() as folder:
        facts = _work(folder, job, model, profile, calibration, options, on_progress)
        float_content = (folder / worker.FLOAT).read_bytes()
        made = folder / (worker.MODEL if job == "convert" else worker.FLOAT)
        content = made.read_bytes()
    if len(content) < _MIN_BYTES:
        raise errors.ConversionError(
            f"The converter gave a file of {len(content)} bytes for {model}: that is no model."
        )
    return Conversion(content, float_content, _specs(facts), tuple(facts["outputs"]), facts)


def _specs(facts: Mapping[str, Any]) -> tuple[InputSpec, ...]:
    return tuple(InputSpec(name, tuple(shape), dtype) for name, shape, dtype in facts["inputs"])


def _work(
    folder: Path,
    job: str,
    model: Path | str,
    profile: ExportProfile,
    calibration: Mapping[str, np.ndarray] | None,
    options: ConversionOptions | None,
    on_progress: OnProgress | None,
    order: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    options = options or ConversionOptions()
    request: dict[str, Any] = {
        **(order or {}),
        "job": job,
        "model": str(model),
        "model_name": Path(str(model)).name,
        "profile": profile.model_dump(mode="json"),
        "calibration_inputs": None if calibration is None else list(calibration),
        "custom_objects": options.custom_objects,
        "allow_unsafe": options.allow_unsafe,
        "allow_select_ops": options.allow_select_ops,
        "memory_limit_bytes": options.memory_limit_bytes,
    }
    try:
        (folder / worker.REQUEST).write_text(json.dumps(request), encoding="utf-8")
        if calibration is not None:
            np.savez(folder / worker.CALIBRATION, *calibration.values())
    except OSError as error:
        raise _no_files(error) from error
    return run_worker(_WORKER, folder, request, options.timeout_seconds, on_progress)


def run_worker(
    module: str,
    folder: Path,
    request: Mapping[str, Any],
    timeout_seconds: float,
    on_progress: OnProgress | None,
) -> dict[str, Any]:
    """The facts that a worker module told, given a folder in which its request lies.

    module: one whose `__main__` calls `tfgreen.tflite.worker.main`. Raises the worker's own error,
    or ConversionError when its process died or ran out of time.
    """
    child = Child(module, folder, worker.PROGRESS)
    began = time.perf_counter()
    code = child.run(timeout_seconds, on_progress)
    seconds = time.perf_counter() - began
    _LOGGER.info("%s of %s: %.1f s", request["job"], request["model_name"], seconds)
    facts = folder / worker.FACTS
    if code == 0 and facts.exists():
        result: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
        return result
    raise _failure(folder, child, code, request)


@contextmanager
def exchange_folder() -> Iterator[Path]:
    """A temporary folder for the files that go to a child process and come back."""
    try:
        temporary = tempfile.TemporaryDirectory(prefix="tfgreen-", ignore_cleanup_errors=True)
    except OSError as error:
        raise _no_files(error) from error
    with temporary as name:
        yield Path(name)


def _no_files(error: OSError) -> errors.ConversionError:
    return errors.ConversionError(
        "The files for the converter's process could not be written "
        f"({error.strerror or error}). Free some space, or set TMPDIR to another folder."
    )


def _failure(
    folder: Path, child: Child, code: int | None, request: Mapping[str, Any]
) -> errors.TfgreenError:
    told = folder / worker.ERROR
    if told.exists():
        record = json.loads(told.read_text(encoding="utf-8"))
        kind: type[errors.TfgreenError] = getattr(errors, record["type"])
        if kind is errors.UnknownNameError:  # makes its message from the names, not known here
            kind = errors.UsageError
        error = kind(record["message"])
        if record.get("traceback"):  # of what nobody foresaw; `-vv` shows it with the error's own
            error.add_note(f"In the converter's process:\n{record['traceback']}")
        return error
    step, name = child.last_step or "starting", request["model_name"]
    if code is None:
        return errors.ConversionError(
            f"Converting {name} took longer than the time limit and was ended while {step}."
        )
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    limit = request["memory_limit_bytes"]
    memory = "memory" if limit is None else f"memory (limit {limit:,} bytes)"
    return errors.ConversionError(
        f"The converter's process {how} while {step} of {name}: TensorFlow crashed or ran out of "
        f"{memory} there. Last words: {child.last_words()}"
    )
