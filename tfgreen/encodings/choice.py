"""The file that is shipped: as it came, or packed where that is smaller and answers the same.

A packed file replaces the dense one only if its truth loads it, answers bit for bit the same to
every sample, and takes fewer bytes; the other kernel sets either load it with the same answers or
have no op that unpacks it. On microcontrollers what is unpacked lies in the tensor arena: there a
packed file also has to keep to the arena's budget, and may not cost more RAM than it saves flash.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from tfgreen.encodings.candidates import Candidate, candidate, weights_are_compressible
from tfgreen.encodings.report import DENSE, Choice, EncodedFile
from tfgreen.encodings.rewriting import plain
from tfgreen.errors import TfgreenError, UnknownNameError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.profile import Encoding, ExportProfile
from tfgreen.runtimes import Outcome, Task, availability, run_tasks

WANTED = ("auto", "dense", *get_args(Encoding))

_GZIP_LEVEL = 9
_FAILURES = (
    *(TfgreenError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError),
    *(MemoryError, RecursionError, struct.error),
)


def check_wanted(wanted: str, profile: ExportProfile) -> None:
    """Raise now what `choose_encoding` would raise about `wanted` after a long conversion.

    Raises:
        UnknownNameError: no encoding has that name.
        UsageError: the profile's runtime does not load it.
    """
    if wanted not in WANTED:
        raise UnknownNameError("encoding", wanted, WANTED)
    if wanted not in ("auto", DENSE, *profile.encodings):
        known = ", ".join(("auto", DENSE, *profile.encodings))
        raise UsageError(
            f"Profile {profile.name} does not take the encoding '{wanted}'; expected one of: "
            f"{known}."
        )


def choose_encoding(
    content: bytes,
    profile: ExportProfile,
    inputs: Sequence[np.ndarray],
    wanted: str = "auto",
) -> Choice:
    """The smallest file that the profile's runtime loads and that answers bit for bit the same.

    Args:
        content: The dense file.
        profile: Which encodings its runtime loads, its kernel sets and its budgets.
        inputs: What to run the files on, one array for each graph input, (N, *tensor shape).
        wanted: "auto": every encoding of the profile, if the weights are pruned or clustered at
            all; "dense"; or one encoding, which is taken whatever RAM it costs.

    Returns:
        The choice. Whatever goes wrong with a packed file is told in its row; the dense file is
        what is shipped then.
    """
    check_wanted(wanted, profile)
    model = TfliteModel.from_bytes(content)
    if wanted == "auto" and not weights_are_compressible(model):
        reason = "the weights are neither pruned nor clustered"
        ordinary = EncodedFile(DENSE, len(content))
        return replace(_shipped_dense(content, ordinary, reason), is_told=False)
    dense = _measured(DENSE, content)
    if wanted == DENSE:
        return _shipped_dense(content, dense, "asked for")
    if wanted == "auto" and not profile.encodings:
        return _shipped_dense(content, dense, "the profile's runtime loads nothing else")
    encodings = [name for name in profile.encodings if wanted in ("auto", name)]
    made: dict[str, Candidate | str] = {name: _made(model, name) for name in encodings}
    trial = _Trial(profile, inputs, strict=wanted == "auto")
    try:
        return _decided(content, trial.judge(content, dense, made), made)
    except TfgreenError as error:
        return _shipped_dense(content, dense, f"packed files could not be run: {error}")


def _shipped_dense(content: bytes, dense: EncodedFile, reason: str) -> Choice:
    return Choice(content, (replace(dense, chosen=True, reason=reason),))


def _measured(encoding: str, content: bytes) -> EncodedFile:
    return EncodedFile(encoding, len(content), len(gzip.compress(content, _GZIP_LEVEL, mtime=0)))


def _made(model: TfliteModel, encoding: Encoding) -> Candidate | str:
    """The packed file, checked to hold the same values; else why there is none."""
    try:
        made = candidate(model, encoding)
        if made is None:
            return "no constant becomes smaller by it"
        unpacked = plain(TfliteModel.from_bytes(made.content))
        same = all(_same(unpacked, model, tensor.index) for tensor in model.tensors)
        return made if same else "it does not unpack to the same values"
    except _FAILURES as error:
        return f"it could not be made ({type(error).__name__}: {error})"


def _same(unpacked: TfliteModel, model: TfliteModel, index: int) -> bool:
    """Whether a tensor has its values again; the sign of a float's zero does not count."""
    ours, theirs = unpacked.stored_bytes(index), model.stored_bytes(index)
    if np.array_equal(ours, theirs):
        return True
    if len(ours) != len(theirs) or model.tensors[index].dtype not in FLOAT_DTYPES:
        return False
    return np.array_equal(unpacked.constant(index), model.constant(index), equal_nan=True)


class _Trial:
    """Runs packed files beside the dense one on every kernel set of the profile."""

    def __init__(
        self, profile: ExportProfile, inputs: Sequence[np.ndarray], *, strict: bool
    ) -> None:
        self._profile, self._inputs, self._strict = profile, tuple(inputs), strict
        self._kernel_sets = [
            name
            for name in profile.kernel_sets.runs
            if name != "numpy" and availability(name).available  # it unpacks nothing
        ]

    def judge(
        self, content: bytes, dense: EncodedFile, made: Mapping[str, Candidate | str]
    ) -> list[EncodedFile]:
        """The dense file's row first; a row without a reason may be shipped."""
        files = {name: one for name, one in made.items() if isinstance(one, Candidate)}
        failed = [
            EncodedFile(name, reason=one) for name, one in made.items() if isinstance(one, str)
        ]
        tasks = [Task("the dense file", content, self._inputs)]
        tasks += [
            Task(f"the {name} file", one.content, self._inputs) for name, one in files.items()
        ]
        outcomes = {name: run_tasks(name, tasks) for name in self._kernel_sets} if files else {}
        arena = [_arena(outcomes, position) for position in range(len(tasks))]
        rows = [replace(dense, arena_bytes=arena[0], bit_exact=_exactness(outcomes, 0))]
        for position, (name, one) in enumerate(files.items(), start=1):
            row = replace(
                _measured(name, one.content),
                arena_bytes=arena[position],
                methods=one.methods,
                bit_exact=_exactness(outcomes, position),
            )
            why = next(self._objections(row, rows[0], outcomes, position), "")
            rows.append(replace(row, reason=why))
        return [*rows, *failed]

    def _objections(
        self,
        row: EncodedFile,
        dense: EncodedFile,
        outcomes: Mapping[str, list[Outcome]],
        position: int,
    ) -> Iterator[str]:
        truth = self._profile.kernel_sets.truth
        exact = row.bit_exact or {}
        if not _saved_bytes(row, dense) > 0:
            yield "not smaller"
        if truth not in exact:
            yield f"'{truth}', which has to load it, does not run here"
        for name, same in exact.items():
            if same is None and (name == truth or row.encoding == "sparse"):
                yield f"{name} does not load it: {outcomes[name][position].message}"
            if same is False:
                yield f"{name} answers otherwise"
        yield from self._memory_objections(row, dense)

    def _memory_objections(self, row: EncodedFile, dense: EncodedFile) -> Iterator[str]:
        if row.arena_bytes is None or dense.arena_bytes is None or not self._strict:
            return
        budget = self._profile.budgets.arena_bytes
        if budget is not None and row.arena_bytes > budget:
            yield f"its arena of {row.arena_bytes:,} bytes is over the budget of {budget:,}"
        more = row.arena_bytes - dense.arena_bytes
        if more > _saved_bytes(row, dense):
            yield f"it takes {more:,} bytes more RAM, which is more than it saves in the file"


def _saved_bytes(row: EncodedFile, dense: EncodedFile) -> int:
    return (dense.size_bytes or 0) - (row.size_bytes or 0)


def _exactness(outcomes: Mapping[str, list[Outcome]], position: int) -> dict[str, bool | None]:
    """Kernel set to whether a task's outputs have the bits of the first task's."""
    found: dict[str, bool | None] = {}
    for name, (dense, *_) in outcomes.items():
        outcome = outcomes[name][position]
        found[name] = None
        if outcome.ok and dense.ok:
            pairs = zip(outcome.outputs, dense.outputs, strict=True)
            found[name] = all(ours.tobytes() == theirs.tobytes() for ours, theirs in pairs)
        elif not dense.ok:
            del found[name]
    return found


def _arena(outcomes: Mapping[str, list[Outcome]], position: int) -> int | None:
    micro = outcomes.get("micro")
    return micro[position].arena_bytes if micro else None


def _decided(
    content: bytes, rows: Sequence[EncodedFile], made: Mapping[str, Candidate | str]
) -> Choice:
    """Ship the smallest row that nothing speaks against, else the dense file: the first row."""
    fit = [row for row in rows[1:] if not row.reason]
    if not fit:
        first = replace(rows[0], chosen=True, reason="no packed file is smaller and as good")
        return Choice(content, (first, *rows[1:]))
    best = min(fit, key=lambda row: row.size_bytes or 0)
    winner = made[best.encoding]
    told = [
        replace(
            row, chosen=row is best, reason=_verdict(row, best) if not row.reason else row.reason
        )
        for row in rows
    ]
    return Choice(winner.content if isinstance(winner, Candidate) else content, tuple(told))


def _verdict(row: EncodedFile, best: EncodedFile) -> str:
    return "the smallest that answers bit for bit the same" if row is best else "larger"
