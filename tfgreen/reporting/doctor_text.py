"""A diagnosis as plain text, which needs no package that could be missing."""

from __future__ import annotations

from collections.abc import Iterator

from tfgreen.doctor import Diagnosis
from tfgreen.wording import ABSENT

_NAME_WIDTH, _VERSION_WIDTH = 30, 24


def doctor_text(diagnosis: Diagnosis, *, short: bool = False) -> str:
    """Verdict first, then one package a line, then what to do; `short`: problems alone."""
    return "\n".join(diagnosis.problems if short else _lines(diagnosis))


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    count = len(diagnosis.problems)
    found = "nothing is missing, nothing clashes"
    yield found if diagnosis.healthy else f"{count} problem{'s' if count > 1 else ''}, see below"
    yield (
        f"tfgreen {diagnosis.tfgreen}, Python {diagnosis.python}, {diagnosis.platform}, "
        f"{diagnosis.cpus} CPUs"
    )
    yield ""
    for package in diagnosis.packages:
        version = package.version or ABSENT
        yield f"  {package.name:{_NAME_WIDTH}}{version:{_VERSION_WIDTH}}{package.state}"
    told = [package.message for package in diagnosis.packages if package.message]
    if told or diagnosis.hints:
        yield ""
    yield from (f"- {message}" for message in (*told, *diagnosis.hints))
