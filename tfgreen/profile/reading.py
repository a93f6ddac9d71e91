"""Where profiles lie: the bundled ones by name, a user's own by path."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import ValidationError

from tfgreen.errors import InvalidProfileError, MissingPathError, UnknownNameError
from tfgreen.profile.explaining import sentence
from tfgreen.profile.export_profile import ExportProfile

DEFAULT_PROFILE = "mobile-int8"


def list_profiles() -> tuple[str, ...]:
    """Names of the bundled profiles, sorted."""
    return tuple(sorted(path.stem for path in _bundled_folder().glob("*.toml")))


def profile_path(name: str) -> Path:
    """The TOML file of a bundled profile. Raises UnknownNameError with the known names."""
    known = list_profiles()
    if name not in known:
        raise UnknownNameError("profile", name, known)
    return _bundled_folder() / f"{name}.toml"


def load_profile(name_or_path: str | Path | ExportProfile = DEFAULT_PROFILE) -> ExportProfile:
    """A profile by the name of a bundled one, by the path of a TOML file, or as it is.

    A text is a path when it ends in .toml or holds a path separator. Raises UnknownNameError,
    MissingPathError, or InvalidProfileError for a file that is no sound profile.
    """
    if isinstance(name_or_path, ExportProfile):
        return name_or_path
    text = str(name_or_path)
    if not isinstance(name_or_path, Path) and not re.search(r"[/\\]|\.toml$", text):
        return _read(profile_path(text))
    path = Path(name_or_path)
    if not path.exists():
        raise MissingPathError(
            f"There is no profile file {path}. Give a path that exists or one of: "
            f"{', '.join(list_profiles())}."
        )
    return _read(path)


def _bundled_folder() -> Path:
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_export_profiles", package.parent / "export_profiles"):
        if folder.is_dir():
            return folder
    raise InvalidProfileError(
        f"The bundled profiles are missing beside {package}: the installation is incomplete. "
        "Reinstall tfgreen."
    )


def _read(path: Path) -> ExportProfile:
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidProfileError(
            f"Profile {path} cannot be read: {error.strerror}. Expected a TOML file."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidProfileError(
            f"Profile {path} is not a TOML file: {error}. Start from a bundled profile."
        ) from error
    try:
        return ExportProfile.model_validate({"name": path.stem} | fields)
    except ValidationError as error:
        raise InvalidProfileError(sentence(f"profile {path}", error, ExportProfile)) from error
