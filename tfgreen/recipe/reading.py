"""Where recipes lie: the ready ones by name, a user's own by path."""

from __future__ import annotations

import re
from pathlib import Path

from tfgreen.errors import InvalidRecipeError, MissingPathError, UnknownNameError
from tfgreen.recipe.recipe import Recipe

_FOLDER = Path(__file__).parent / "ready"


def list_recipes() -> tuple[str, ...]:
    """Names of the ready recipes, sorted.

    >>> "pqat" in list_recipes()
    True
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_recipe(name_or_path: str | Path | Recipe) -> Recipe:
    """A recipe by the name of a ready one, by the path of a TOML file, or as it is.

    A text is a path when it ends in .toml or holds a path separator.

    Raises:
        UnknownNameError: no ready recipe has the name.
        MissingPathError: there is no such file.
        InvalidRecipeError: it is no sound recipe.

    >>> [stage.name for stage in load_recipe("pqat").stages]
    ['prune', 'qat']
    """
    if isinstance(name_or_path, Recipe):
        return name_or_path
    path = recipe_path(name_or_path)
    return Recipe.from_toml(recipe_source(path), name=path.stem)


def recipe_path(name_or_path: str | Path) -> Path:
    """The TOML file of a ready recipe, or the path that was given."""
    text = str(name_or_path)
    if not isinstance(name_or_path, Path) and not re.search(r"[/\\]|\.toml$", text):
        if text not in list_recipes():
            raise UnknownNameError("recipe", text, list_recipes())
        return _FOLDER / f"{text}.toml"
    path = Path(name_or_path)
    if not path.exists():
        raise MissingPathError(
            f"There is no recipe file {path}. Give a path that exists or one of: "
            f"{', '.join(list_recipes())}."
        )
    return path


def recipe_source(path: Path) -> str:
    """The text of a recipe file, with its comments. Raises InvalidRecipeError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRecipeError(
            f"Recipe {path} cannot be read: {getattr(error, 'strerror', None) or error}. "
            "Expected a TOML file."
        ) from error
