"""Generated parts of a page: what stands between two comments that name the part."""

from __future__ import annotations

from collections.abc import Sequence

from tfgreen.errors import InvalidDataError


def with_part(page: str, name: str, text: str) -> str:
    """The page with the part of that name replaced; text without blank lines at its ends.

    Raises InvalidDataError unless the page has `<!-- generated: NAME -->` and
    `<!-- /generated: NAME -->` once each, in this order.

    >>> page = "a\\n<!-- generated: x -->\\nold\\n<!-- /generated: x -->\\nb"
    >>> with_part(page, "x", "new").splitlines()
    ['a', '<!-- generated: x -->', 'new', '<!-- /generated: x -->', 'b']
    """
    begin, end = f"<!-- generated: {name} -->", f"<!-- /generated: {name} -->"
    if (page.count(begin), page.count(end)) != (1, 1) or page.index(begin) > page.index(end):
        raise InvalidDataError(
            f"The page has no part '{name}'; expected '{begin}' and '{end}' once each, in order."
        )
    head, rest = page.split(begin)
    return f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def markdown_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table; bars inside of cells are escaped.

    >>> print(markdown_table(("a", "b"), [("1", "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\\|y |
    """
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
