"""Profiles as plain text: quick to print, since people ask for the list often."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tfgreen.profile import DEFAULT_PROFILE, ExportProfile, list_profiles, profile_path


def profiles_text(profiles: Iterable[ExportProfile]) -> str:
    """One profile a line: name, scheme, dtypes at the boundary, truth, what it is for."""
    rows = [("profile", "scheme", "input:output", "truth", "for")]
    for profile in profiles:
        name = f"{profile.name} *" if profile.name == DEFAULT_PROFILE else profile.name
        boundary = f"{profile.input_type}:{profile.output_type}"
        rows.append((name, profile.scheme, boundary, profile.kernel_sets.truth, profile.summary))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = (
        "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=False))
        + f"  {row[-1]}"
        for row in rows
    )
    return "\n".join([*lines, "", "* the default. `tfgreen profiles NAME` shows one in full."])


def profile_source(name_or_path: str) -> str:
    """The TOML text of a profile with its comments, which say more than any rendering."""
    bundled = name_or_path in list_profiles()
    path = profile_path(name_or_path) if bundled else Path(name_or_path)
    return path.read_text(encoding="utf-8")
