"""What is installed, and what to install."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tfgreen.errors import MissingDependencyError, UnknownNameError
from tfgreen.runtimes import KERNEL_SETS, availability, run_tasks


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_litert_is_here_with_its_version() -> None:
    found = availability("xnnpack")
    assert found.available and found.version and found.reason == ""


@pytest.mark.usefixtures("nothing_installed")
def test_what_is_missing_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for kernel_set in set(KERNEL_SETS) - {"numpy"}:
        found = availability(kernel_set)
        line = (
            'pip install "tfgreen[mcu]"' if kernel_set == "micro" else "pip install ai-edge-litert"
        )
        assert not found.available and found.version is None and line in found.reason
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        run_tasks("reference", [])


@pytest.mark.usefixtures("nothing_installed")
def test_micro_says_where_its_wheels_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert "Linux on x86-64 only; this is darwin on arm64" in availability("micro").reason


def test_unknown_names() -> None:
    with pytest.raises(
        UnknownNameError, match="Known: micro, numpy, optimized, reference, xnnpack"
    ):
        availability("gpu")
