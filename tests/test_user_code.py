from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfgreen.errors import UnknownNameError, UnsupportedModelError, UsageError
from tfgreen.models.custom_objects import resolve_custom_objects
from tfgreen.models.loading import load_model
from tfgreen.user_code import import_function


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the working directory, which is not on the path."""
    name = "layers_of_mine"
    (tmp_path / f"{name}.py").write_text(
        "class Mine: ...\ndef build(): return 7\nTABLE = {'Other': Mine}\n_hidden = Mine\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    yield name
    sys.modules.pop(name, None)


def test_a_function_is_found_in_the_working_directory(module: str) -> None:
    before = list(sys.path)
    assert import_function(f"{module}:build")() == 7
    assert sys.path == before


def test_an_unknown_function_lists_the_known_ones(module: str) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'build'"):
        import_function(f"{module}:bulid")


def test_a_modules_public_classes_and_functions_are_custom_objects(module: str) -> None:
    assert sorted(resolve_custom_objects(module)) == ["Mine", "build"]


def test_a_mapping_or_one_object_may_be_named(module: str) -> None:
    assert sorted(resolve_custom_objects(f"{module}:TABLE")) == ["Other"]
    assert sorted(resolve_custom_objects(f"{module}:Mine")) == ["Mine"]
    with pytest.raises(UnknownNameError):
        resolve_custom_objects(f"{module}:Nothing")


def test_none_and_mappings_pass() -> None:
    assert resolve_custom_objects(None) == {}
    assert resolve_custom_objects({"A": int}) == {"A": int}


def test_a_module_that_does_not_exist_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be imported"):
        import_function("no_such_module_at_all:build")


def test_a_module_that_fails_is_a_usage_error(module: str, tmp_path: Path) -> None:
    (tmp_path / "broken_of_mine.py").write_text("1 / 0\n")
    with pytest.raises(UsageError, match="fails when it is imported: ZeroDivisionError"):
        import_function("broken_of_mine:build")


def test_a_module_that_ends_the_process_is_a_usage_error(module: str, tmp_path: Path) -> None:
    (tmp_path / "script_of_mine.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(UsageError, match="fails when it is imported: SystemExit: 3"):
        import_function("script_of_mine:build")


def test_a_function_may_import_its_neighbours_when_it_runs(module: str, tmp_path: Path) -> None:
    (tmp_path / "late_of_mine.py").write_text(f"def build():\n    import {module}\n    return 1\n")
    with pytest.raises(UnsupportedModelError, match="Received a builtins.int"):
        load_model("late_of_mine:build")
