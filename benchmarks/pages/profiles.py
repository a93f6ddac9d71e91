"""docs/profiles.md: the bundled profiles, from their files."""

from __future__ import annotations

import textwrap

from benchmarks.pages.markers import markdown_table
from tfgreen.profile import DEFAULT_PROFILE, ExportProfile, Limits, list_profiles, load_profile
from tfgreen.profile.vela import VelaSettings

_DEFAULTS = Limits()
_WIDTH = 100


def bundled() -> list[ExportProfile]:
    """All bundled profiles: the default, then those of processors, then accelerators."""
    profiles = [load_profile(name) for name in list_profiles()]
    return sorted(
        profiles,
        key=lambda one: (one.name != DEFAULT_PROFILE, one.vela is not None or one.edgetpu_rules),
    )


def overview() -> str:
    """One line a profile."""
    header = ("profile", "what it is for", "scheme", "input, output", "truth", "compared with")
    rows = [
        (
            f"[`{one.name}`](#{one.name})",
            one.summary,
            one.scheme,
            ", ".join(dict.fromkeys((one.input_type, one.output_type))),
            one.kernel_sets.truth,
            ", ".join(one.kernel_sets.compared),
        )
        for one in bundled()
    ]
    return markdown_table(header, rows)


def limits() -> str:
    """The limits of each profile; those that differ from the default in bold."""
    names = tuple(Limits.model_fields)
    rows = [("default", *(_number(getattr(_DEFAULTS, name)) for name in names))]
    for profile in bundled():
        cells = [_limit(profile, name) for name in names]
        if any(cells):
            rows.append((f"`{profile.name}`", *(cell or "as default" for cell in cells)))
    return markdown_table(("profile", *(f"`{name}`" for name in names)), rows)


def accelerators() -> str:
    """What each profile with an NPU is compiled for."""
    names = tuple(VelaSettings.model_fields)
    rows = [
        (f"`{one.name}`", *(f"`{getattr(one.vela, name)}`" for name in names))
        for one in bundled()
        if one.vela is not None
    ]
    return markdown_table(("profile", *(f"`{name}`" for name in names)), rows)


def each() -> str:
    """A section for each profile with every key of its file."""
    return "\n\n".join(_section(one) for one in bundled())


def _section(profile: ExportProfile) -> str:
    file = f"[Its file](../export_profiles/{profile.name}.toml)"
    points = [
        f"- **Numbers**: scheme `{profile.scheme}`, `{profile.input_type}` in and "
        f"`{profile.output_type}` out, {profile.batch} sample a call"
        + (", no float inside" if profile.full_integer else ", activations in float"),
        f"- **Weights**: one scale a {profile.weight_scales}; {_wider(profile)}stored plainly"
        + _encodings(profile),
        f"- **Calibration**: {'needed' if profile.needs_calibration else 'not needed'}",
        f"- **Kernels**: `{profile.kernel_sets.truth}` is the truth, compared with "
        + ", ".join(f"`{name}`" for name in profile.kernel_sets.compared),
        f"- **Ops**: {_ops(profile)}",
        f"- **Budgets**: {_budgets(profile)}",
        *([f"- **Under corruption**: {_corruption(profile)}"] if profile.robustness else []),
        *(f"- **Not checked here**: {note}" for note in profile.notes),
    ]
    told = textwrap.fill(f"{profile.summary} For: {profile.target}. {file}.", _WIDTH)
    listed = "\n".join(textwrap.fill(one, _WIDTH, subsequent_indent="  ") for one in points)
    return f"### {profile.name}\n\n{told}\n\n{listed}"


def _wider(profile: ExportProfile) -> str:
    return f"layers of 16 bits: {profile.wider_layers}; " if profile.scheme == "int8" else ""


def _ops(profile: ExportProfile) -> str:
    if profile.ops is None:
        return "all builtin ones"
    return f"{len(profile.ops)} allowed: {', '.join(profile.ops)}"


def _encodings(profile: ExportProfile) -> str:
    names = " or ".join(f"`{name}`" for name in profile.encodings)
    return f" or [encoded](encodings.md) as {names}" if names else ""


def _budgets(profile: ExportProfile) -> str:
    told = {"file": profile.budgets.file_bytes, "arena": profile.budgets.arena_bytes}
    known = [f"{name} {size:,} bytes" for name, size in told.items() if size is not None]
    return ", ".join(known) or "none, unless given by `--flash` and `--arena`"


def _corruption(profile: ExportProfile) -> str:
    rules = profile.robustness
    if rules is None:
        return ""
    return f"accuracy at most {rules.drop:g} below the float model's at severity {rules.severity}"


def _limit(profile: ExportProfile, name: str) -> str:
    value = getattr(profile.limits, name)
    return "" if value == getattr(_DEFAULTS, name) else f"**{_number(value)}**"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
