"""The child process that loads a model and converts it: `python -m tfgreen.tflite.worker DIR`.

The folder holds `request.json` and, for static schemes, `calibration.npz`. The child writes
`float.tflite`, `model.tflite` and `facts.json`, or `error.json` with the name of an exception of
`tfgreen.errors` and its message; `progress.jsonl` grows a line a step. A converter that aborts
the process takes only this child with it. Evaluation data never come here: they cannot influence
the file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfgreen.tflite.fake_quantization import FakeQuantized

REQUEST, CALIBRATION, PROGRESS = "request.json", "calibration.npz", "progress.jsonl"
GIVEN_FLOAT, GIVEN = "given-float.tflite", "given.tflite"
FLOAT, MODEL, FACTS, ERROR = "float.tflite", "model.tflite", "facts.json", "error.json"

_NO_MEMORY_FOR_A_LIBRARY = "failed to map segment from shared object"
_CHECKED_RUNS = 8
_FLOAT_TOLERANCE = 1e-4
_ROUNDING_TOLERANCE = 0.25


class Clock:
    """Seconds by step, and a line of progress for each."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS
        self._last = time.perf_counter()
        self._told, self._noted = "", 0.0
        self.seconds: dict[str, float] = {}

    def step(self, name: str) -> None:
        """The step that has just ended."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now

    def note(self, step: str, done: int = 0, of: int = 0) -> None:
        """Tell the parent of each step; of what is done in it, at most some times a second."""
        now = time.perf_counter()
        if step == self._told and done not in (0, of) and now - self._noted < 0.2:
            return
        self._told, self._noted = step, now
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, "done": done, "of": of}) + "\n")


Work = Callable[[Path, dict[str, Any]], dict[str, Any]]


def main(arguments: Sequence[str] | None = None, work: Work | None = None) -> int:
    """Do what the folder's request says; 0 when done, 1 with `error.json` when not.

    work: takes the folder and the request, and returns the facts; by default, a conversion.
    """
    from tfgreen.errors import TfgreenError

    folder = Path((arguments or sys.argv[1:])[0])
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    _limit_memory(request["memory_limit_bytes"])
    try:
        facts = (work or _convert)(folder, request)
    except TfgreenError as error:
        return _fail(folder, type(error).__name__, str(error))
    except MemoryError:
        return _fail(folder, "ConversionError", _out_of_memory(request))
    except ModuleNotFoundError as error:
        return _fail(folder, "MissingDependencyError", _missing(request, error), format_exc())
    except Exception as error:  # noqa: BLE001 - TensorFlow raises anything; the caller is told
        if _NO_MEMORY_FOR_A_LIBRARY in str(error):
            return _fail(folder, "ConversionError", _out_of_memory(request))
        return _fail(folder, "ConversionError", _unforeseen(request, error), format_exc())
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    return 0


def _end_with_the_caller() -> None:
    """The caller holds the other end of standard input; when it dies, so does this process."""
    while os.read(0, 1):  # not sys.stdin, whose lock would be held when the process ends
        continue
    os._exit(1)


def _limit_memory(limit_bytes: int | None) -> None:
    if limit_bytes is None or sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def _fail(folder: Path, kind: str, message: str, traceback: str = "") -> int:
    record = {"type": kind, "message": message, "traceback": traceback}
    (folder / ERROR).write_text(json.dumps(record), encoding="utf-8")
    return 1


def _out_of_memory(request: dict[str, Any]) -> str:
    limit = request["memory_limit_bytes"]
    most = "there is" if limit is None else f"the limit of {limit:,} bytes"
    return (
        f"Converting {request['model_name']} needed more memory than {most}. Give fewer "
        "calibration samples or raise the limit."
    )


def _missing(request: dict[str, Any], error: ModuleNotFoundError) -> str:
    name = str(error.name).split(".", maxsplit=1)[0].replace("_", "-")
    return (
        f"Converting {request['model_name']} needs {name}, which is not installed: "
        f"pip install {name}"
    )


def _unforeseen(request: dict[str, Any], error: Exception) -> str:
    reason = " ".join(str(error).split())[:500] or type(error).__name__
    return f"Converting {request['model_name']} failed: {type(error).__name__}: {reason}"


def _convert(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    from tfgreen.errors import ConversionError

    clock = Clock(folder)
    if request["job"] == "treat":
        return _treat(folder, request, clock)
    clock.note("loading TensorFlow and the model")
    convertible = _open(request)
    clock.step("load")
    facts: dict[str, Any] = {
        "inputs": [[spec.name, list(spec.shape), spec.dtype] for spec in convertible.inputs],
        "outputs": list(convertible.outputs),
        "rewrites": list(convertible.rewrites),
        "notes": list(convertible.notes),
    }
    if request["job"] == "describe":
        return facts
    clock.note("converting to a float file")
    start = _start(convertible, request)
    (folder / FLOAT).write_bytes(start.judged_by)
    clock.step("float_conversion")
    samples = _calibration(folder, request["calibration_inputs"])
    facts["float_error"] = _check_float_file(convertible, start, samples, request)
    clock.step("float_check")
    if request["job"] == "convert":
        try:
            facts |= _quantize(folder, start, samples, request, clock)
        except ConversionError as error:  # what was odd about the model may well be the reason
            raise ConversionError(". ".join([str(error).rstrip("."), *facts["notes"]])) from error
        clock.step("quantization")
    facts["seconds"] = clock.seconds
    return facts


def _treat(folder: Path, request: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """A treatment of two files that are there already; no model is loaded."""
    from tfgreen.profile import ExportProfile
    from tfgreen.tflite.treating import treat
    from tfgreen.tflite.treatment import Treatment

    treated = treat(
        Treatment.from_json(request["treatment"]),
        (folder / GIVEN_FLOAT).read_bytes(),
        (folder / GIVEN).read_bytes(),
        ExportProfile.model_validate(request["profile"]),
        _calibration(folder, request["calibration_inputs"]) or {},
        clock.note,
    )
    (folder / FLOAT).write_bytes(treated.float_content)
    (folder / MODEL).write_bytes(treated.content)
    return {"is_changed": treated.is_changed, "said": treated.said, "facts": dict(treated.facts)}


def _open(request: dict[str, Any]) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tfgreen.models.graph import open_for_conversion
    from tfgreen.models.loading import identify

    return open_for_conversion(
        identify(request["model"]),
        custom_objects=request["custom_objects"],
        allow_unsafe=request["allow_unsafe"],
        batch=request["profile"]["batch"],
    )


@dataclass(frozen=True)
class _Start:
    """What a conversion starts from.

    computes: the float file that computes what the model does. judged_by: the one that the
    quantized file is held against. trained: what quantization-aware training left, else None.
    """

    computes: bytes
    judged_by: bytes
    trained: FakeQuantized | None = None


def _start(convertible: Any, request: dict[str, Any]) -> _Start:
    from tfgreen.profile import ExportProfile
    from tfgreen.tflite.fake_quantization import read_fake_quantization

    content = _float_file(convertible, request)
    trained = read_fake_quantization(content) if convertible.is_quantization_aware else None
    if trained is None:
        return _Start(content, content)
    profile = ExportProfile.model_validate(request["profile"])
    rounds = profile.needs_calibration or request["job"] != "convert"
    return _Start(trained.simulated, trained.simulated if rounds else trained.plain, trained)


def _float_file(convertible: Any, request: dict[str, Any]) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python.convert import ConverterError

    from tfgreen.tflite.select_ops import missed_ops, refuse_select_ops

    converter = convertible.converter()
    supported = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if request["allow_select_ops"]:
        supported.append(tf.lite.OpsSet.SELECT_TF_OPS)
    converter.target_spec.supported_ops = supported
    try:
        content: bytes = converter.convert()
    except ConverterError as error:
        refuse_select_ops(missed_ops(str(error)), request["model_name"])
        raise
    return content


def _calibration(folder: Path, names: Sequence[str] | None) -> dict[str, Any] | None:
    """The samples by input name; the archive numbers them, since inputs may be called anything."""
    import numpy as np

    if names is None:
        return None
    with np.load(folder / CALIBRATION, allow_pickle=False) as archive:
        return {name: archive[f"arr_{index}"] for index, name in enumerate(names)}


def _check_float_file(
    convertible: Any, start: _Start, samples: dict[str, Any] | None, request: dict[str, Any]
) -> float | None:
    """Largest |file - model| over the model's largest |output|; refuses what is not the same.

    A model that rounds may round the other way where sums come in another order, and what follows
    differs by steps; where that is much, the two are compared without their roundings. None for a
    file with select ops: no Python package has an interpreter that runs them.
    """
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.tflite.float_check import float_error, probe
    from tfgreen.tflite.select_ops import select_ops

    content = start.computes
    if select_ops(TfliteModel.from_bytes(content)):
        return None
    data = samples or probe(convertible.inputs)
    error, limit = float_error(content, convertible, data, _CHECKED_RUNS), _FLOAT_TOLERANCE
    if start.trained is not None:
        limit = _ROUNDING_TOLERANCE
        if error.relative > limit:
            plain = convertible.unrounded()
            error = float_error(_float_file(plain, request), plain, data, _CHECKED_RUNS)
            limit = _FLOAT_TOLERANCE
    if error.relative > limit:
        from tfgreen.errors import ConversionError

        raise ConversionError(
            f"The float file that the converter made of {request['model_name']} does not compute "
            f"what the model does: output '{error.output}' is off by {error.relative:.2g} of its "
            f"largest value (limit {limit:g}). The model may be random at inference; "
            "check for layers that ignore training=False."
        )
    return error.relative


def _quantize(
    folder: Path,
    start: _Start,
    samples: dict[str, Any] | None,
    request: dict[str, Any],
    clock: Clock,
) -> dict[str, Any]:
    from tfgreen.data import Samples
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.profile import ExportProfile
    from tfgreen.runtimes import quantize_inputs
    from tfgreen.tflite.quantization import quantize
    from tfgreen.tflite.select_ops import refuse_select_ops, select_ops
    from tfgreen.tflite.tidying import tidied
    from tfgreen.tflite.trained_quantization import quantize_as_trained

    profile = ExportProfile.model_validate(request["profile"])
    model = TfliteModel.from_bytes(start.judged_by)
    if profile.needs_calibration:
        refuse_select_ops(select_ops(model), request["model_name"])
    runs = None
    if samples is not None:
        whole = Samples(samples)
        whole = whole.head(len(whole) - len(whole) % profile.batch)
        runs = quantize_inputs(model, whole)
    if start.trained is not None and runs is not None and profile.needs_calibration:
        quantized = quantize_as_trained(start.trained, runs, profile, clock.note)
    else:
        quantized = quantize(start.judged_by, runs, profile, clock.note)
    (folder / MODEL).write_bytes(tidied(quantized.content))
    facts = quantized.to_facts()
    return facts if start.trained is None else {**facts, "trained": start.trained.to_facts()}


if __name__ == "__main__":
    sys.exit(main())
