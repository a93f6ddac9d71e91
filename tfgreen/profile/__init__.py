"""Export profiles: what a target accepts, what it promises, and which kernel set is its truth.

A profile is one TOML file. The bundled ones lie in `export_profiles/`; a user's own is given by
its path. Everything is checked when the profile is read: unknown keys at every depth, types, and
combinations that a runtime cannot load or computes wrongly.

>>> profile = load_profile("mobile-int8")
>>> profile.kernel_sets.truth
'xnnpack'
>>> profile.with_overrides(io="uint8:float32", arena="64KB").budgets.arena_bytes
65536
"""

from tfgreen.profile.export_profile import ExportProfile
from tfgreen.profile.reading import DEFAULT_PROFILE, list_profiles, load_profile, profile_path
from tfgreen.profile.sections import (
    BoundaryType,
    Budgets,
    Encoding,
    KernelSets,
    Limits,
    RobustnessLimit,
    Scheme,
    parse_bytes,
)
from tfgreen.profile.vela import VelaSettings

__all__ = [
    "DEFAULT_PROFILE",
    "BoundaryType",
    "Budgets",
    "Encoding",
    "ExportProfile",
    "KernelSets",
    "Limits",
    "RobustnessLimit",
    "Scheme",
    "VelaSettings",
    "list_profiles",
    "load_profile",
    "parse_bytes",
    "profile_path",
]
