"""What sources call a model: an identifier that is safe whatever the user's name for it is."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 40
_SUFFIX = "_model"
_NAMELESS = "tfgreen"


def c_identifier(name: str) -> str:
    """A name for namespaces, files and symbols, always ending in `_model`.

    The ending keeps it from being a keyword of C or C++, a macro of a board's headers, or the
    name of a standard header. It is lower case, since some file systems do not tell cases apart.

    >>> [c_identifier(name) for name in ("kws", "class", "1abc", "größe-2", "*/", "kws_model")]
    ['kws_model', 'class_model', 'm1abc_model', 'gro_e_2_model', 'tfgreen_model', 'kws_model']
    """
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).lower()
    stem = re.sub(r"[^a-z0-9]+", "_", plain)[:_LONGEST].strip("_").removesuffix(_SUFFIX)
    if stem in ("", "model"):
        stem = _NAMELESS
    if stem[0].isdigit():
        stem = f"m{stem}"
    return stem + _SUFFIX
