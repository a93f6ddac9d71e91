"""What all records of tfgreen share: nothing in them changes, and nothing is unknown.

>>> class Measured(Document):
...     title: ClassVar[str] = "record of a test"
...     remedy: ClassVar[str] = "Measure again."
...     seconds: float
>>> Measured.from_json(Measured(seconds=1.5).to_json())
Measured(seconds=1.5)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tfgreen.errors import InvalidDataError

Row = TypeVar("Row")


class Record(BaseModel):
    """Frozen; unknown keys and values that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Document(Record):
    """A record that stands alone as JSON.

    title: what it is called when something else is read as one. remedy: what to do then.
    """

    title: ClassVar[str]
    remedy: ClassVar[str]

    def to_json(self) -> str:
        """One JSON document, indented by two, ending in a newline; `from_json` reads it back."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote. Raises InvalidDataError for anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "document"
            raise InvalidDataError(
                f"This is no {cls.title}: at '{where}', {first['msg']}. {cls.remedy}"
            ) from error


def row_named(rows: Mapping[str, Row], name: str, kind: str) -> Row:
    """A row by its name. Raises InvalidDataError where there is none of this `kind`.

    >>> row_named({"int8": 0.98}, "int8", "width")
    0.98
    """
    if name not in rows:
        raise InvalidDataError(f"There is no {kind} '{name}' here. There are: {', '.join(rows)}.")
    return rows[name]
