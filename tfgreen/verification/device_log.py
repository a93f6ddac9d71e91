"""A serial log as evidence: what a board answered to the golden vectors, judged like a kernel set.

The golden test of the rendered sources prints one line of JSON with every answer in it. Whatever
else the log holds (boot messages, other firmware) is passed over, and lines that break off are
counted. Of several runs the worst counts, so that a board that answers wrongly now and then is not
let off.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import statistics
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfgreen.errors import IntegrityError, InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.verification.device_line import LINE_START, LINE_VERSION, STATUS_OK

_SHOWN_DIGITS = 12
_Count = Field(ge=0, le=2**32 - 1)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Answer(_Record):
    """What the board answered to one golden vector."""

    steps: list[int]
    outputs: list[str]
    microseconds: int | None = Field(default=None, ge=0, le=2**32 - 1)


class _Line(_Record):
    """One run of the golden test."""

    tfgreen: str
    version: int
    model: str
    crc32: str
    golden: str
    input_bytes: list[int]
    output_bytes: list[int]
    runs: list[_Answer]
    arena_bytes: int = _Count
    max_steps: int = _Count
    status: str


@dataclass(frozen=True)
class DeviceLog:
    """What a serial log holds of one model's golden test.

    Attributes:
        runs: In the log's order; one or more.
        broken_lines: How many lines begin and have no end, whichever model's they were.
    """

    runs: tuple[DeviceRun, ...]
    broken_lines: int


@dataclass(frozen=True)
class DeviceRun:
    """One run of the golden test on a board.

    Attributes:
        answers: One (vectors, *tensor shape) array per graph output, in the file's dtype.
        steps: For each vector and output, how far the board itself found its answer off, in
            quanta.
        microseconds: What each call took; empty if the firmware has no clock.
        arena_bytes: Working memory in use.
        status: "ok", or why the board did not get through, as the firmware calls it.
        golden_id: Which vectors the firmware holds.
    """

    answers: tuple[np.ndarray, ...]
    steps: tuple[tuple[int, ...], ...]
    microseconds: tuple[int, ...]
    arena_bytes: int
    status: str
    golden_id: str

    @property
    def vectors(self) -> int:
        """How many vectors the board got through."""
        return len(self.answers[0]) if self.answers else 0

    @property
    def is_complete(self) -> bool:
        """Whether the board got through all of them."""
        return self.status == STATUS_OK


def decoded(content: bytes) -> str:
    """A log's text; what is no text in it (the noise of a starting board) is replaced.

    >>> decoded("on".encode("utf-16")), decoded(b"\\xffon")
    ('on', '\ufffdon')
    """
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # what PowerShell's redirection writes
    return content.decode("utf-16" if content.startswith(marks) else "utf-8", errors="replace")


def read_device_log(text: str, model: TfliteModel, firmware: Sequence[bytes]) -> DeviceLog:
    """Every run of one model's golden test that a serial log holds, in its order.

    Args:
        text: The log, with anything else in it.
        model: The file that should be on the board.
        firmware: The same, as it may be shipped: itself, or as an NPU's compiler gave it.

    Raises:
        InvalidDataError: there is no line, none that is whole, or one that contradicts itself.
        IntegrityError: the lines are of another model, or the board's flash holds other bytes.
    """
    documents, damaged = _documents(text)
    lines = [_validated(document) for document in documents]
    if not lines:
        raise InvalidDataError(_nothing_found(damaged))
    shipped = {hashlib.sha256(content).hexdigest(): content for content in firmware}
    own = [line for line in lines if line.model in shipped]
    if not own:
        others = ", ".join(dict.fromkeys(line.model[:_SHOWN_DIGITS] for line in lines))
        expected = " or ".join(sha256[:_SHOWN_DIGITS] for sha256 in shipped)
        raise IntegrityError(
            f"The device log is of another model: its sha256 begins with {others}, expected "
            f"{expected}. Flash the sources of this bundle and log again."
        )
    return DeviceLog(tuple(_run(line, model, shipped[line.model]) for line in own), damaged)


def _documents(text: str) -> tuple[list[Any], int]:
    """The JSON objects that begin as the golden test's, and how many of them are damaged."""
    found, damaged, start = [], 0, text.find(LINE_START)
    decoder = json.JSONDecoder()
    while start >= 0:
        try:
            found.append(decoder.raw_decode(text, start)[0])
        except (ValueError, RecursionError):
            damaged += 1
        start = text.find(LINE_START, start + 1)
    return found, damaged


def _nothing_found(damaged: int) -> str:
    if damaged:
        return (
            "The device log holds the beginning of a golden test's line, but not its end: the "
            "line is cut off or characters were lost. Log the whole line, from '{' to '}'."
        )
    return (
        f"The device log holds no line of the golden test (it begins with {LINE_START}). Call "
        "RunGoldenTest on the board, and log what it prints over the serial port."
    )


def _validated(document: Any) -> _Line:
    version = document.get("version")
    if version != LINE_VERSION:
        raise InvalidDataError(
            f"The device log's line is of version {version}; this tfgreen reads version "
            f"{LINE_VERSION}. Use the tfgreen that rendered the firmware, or render it again."
        )
    try:
        return _Line.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidDataError(
            f"The device log's line is damaged: at '{where}', {first['msg']}. Log it again."
        ) from error


def _run(line: _Line, model: TfliteModel, content: bytes) -> DeviceRun:
    crc32 = f"{zlib.crc32(content):08x}"
    if line.crc32 != crc32:
        raise IntegrityError(
            f"The board's memory holds another file than the bundle: its CRC-32 is {line.crc32}, "
            f"expected {crc32}. Flash the rendered sources as they are."
        )
    sizes = [_size_bytes(model, index) for index in model.outputs]
    given = [_size_bytes(model, index) for index in model.inputs]
    if line.input_bytes != given or line.output_bytes != sizes:
        raise InvalidDataError(
            f"The device log tells of inputs of {line.input_bytes} and outputs of "
            f"{line.output_bytes} bytes; the model has {given} and {sizes}. Log it again."
        )
    answers = tuple(_answers(line, model, position) for position in range(len(model.outputs)))
    times = [answer.microseconds for answer in line.runs]
    return DeviceRun(
        answers=answers,
        steps=tuple(tuple(answer.steps) for answer in line.runs),
        microseconds=tuple(time for time in times if time is not None),
        arena_bytes=line.arena_bytes,
        status=line.status,
        golden_id=line.golden,
    )


def _answers(line: _Line, model: TfliteModel, position: int) -> np.ndarray:
    """(vectors, *tensor shape) in the file's dtype."""
    tensor = model.tensors[model.outputs[position]]
    size_bytes = line.output_bytes[position]
    parts = []
    for vector, answer in enumerate(line.runs):
        data = _bytes_of(answer, position, len(line.output_bytes))
        if data is None or len(data) != size_bytes:
            raise InvalidDataError(
                f"The device log's line is damaged: output {position} of golden vector {vector} "
                f"is not {size_bytes} bytes in hexadecimal digits. Log it again."
            )
        parts.append(data)
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    stored = np.frombuffer(b"".join(parts), dtype).astype(tensor.dtype)
    return stored.reshape(len(parts), *tensor.shape)


def _bytes_of(answer: _Answer, position: int, count: int) -> bytes | None:
    if len(answer.outputs) != count or len(answer.steps) != count:
        return None
    try:
        return bytes.fromhex(answer.outputs[position])
    except ValueError:
        return None


def _size_bytes(model: TfliteModel, index: int) -> int:
    tensor = model.tensors[index]
    return math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize


def median_milliseconds(runs: Sequence[DeviceRun]) -> float | None:
    """The median over every call of every run; None if no firmware had a clock."""
    times = list(_times(runs))
    return statistics.median(times) / 1000 if times else None


def _times(runs: Sequence[DeviceRun]) -> Iterator[int]:
    for run in runs:
        yield from run.microseconds
