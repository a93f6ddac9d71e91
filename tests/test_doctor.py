"""What is told about installed packages, with a made-up set of them."""

from __future__ import annotations

import importlib.metadata
import json

import pytest

from tfgreen import stack
from tfgreen.doctor import diagnose

VERSIONS = dict.fromkeys(stack.REQUIRED, "1.0") | {"tfgreen": "0.1.0", "packaging": "25.0"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str] | dict[str, list[str]]]:
    """Installed versions and requirements, to be changed by the test."""
    versions, requirements = dict(VERSIONS), {}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requirements.get(name))
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return {"versions": versions, "requirements": requirements}


def test_healthy(installed: dict) -> None:
    diagnosis = diagnose()
    assert diagnosis.healthy
    assert diagnosis.problems == ()
    assert diagnosis.hints == ()
    states = {package.name: package.state for package in diagnosis.packages}
    assert states["tensorflow"] == "ok"
    assert states["tflite-micro"] == states["pillow"] == "optional"
    assert json.loads(diagnosis.to_json())["healthy"] is True


def test_missing_with_its_pip_line(installed: dict) -> None:
    del installed["versions"]["keras"], installed["versions"]["numpy"]
    installed["requirements"]["tfgreen"] = ["keras>=3.6,<4", "numpy>=1.26"]
    assert diagnose().problems == (
        "keras is not installed; inspect and verify work without it. Install it: "
        'pip install "keras<4,>=3.6"',
        'numpy is not installed. Install it: pip install "numpy>=1.26"',
    )


def test_clash_names_who_asks_for_what(installed: dict) -> None:
    installed["versions"]["protobuf"] = "5.29.0"
    installed["requirements"]["tensorflow"] = [
        "protobuf<8.0.0,>=6.31.1",
        "numpy>=99; python_version < '3.0'",
        "numpy>=99; extra == 'gpu'",
    ]
    (problem,) = diagnose().problems
    assert problem.startswith(
        "protobuf 5.29.0 is installed, but tensorflow asks for <8.0.0,>=6.31.1."
    )
    assert 'pip install "protobuf<8.0.0,>=6.31.1"' in problem


def test_names_are_compared_as_pip_does(installed: dict) -> None:
    installed["requirements"]["tensorflow"] = ["tf-keras>=2"]
    assert diagnose().problems[0].startswith("tf_keras 1.0 is installed")


def test_pre_releases_count(installed: dict) -> None:
    installed["versions"]["tflite-micro"] = "0.dev20261023182759"
    installed["requirements"]["tfgreen"] = ["tflite-micro==0.dev20261023182759"]
    assert diagnose().healthy


def test_environment(installed: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    legacy, backend = diagnose().hints
    assert legacy.startswith("TF_USE_LEGACY_KERAS=1 is set")
    assert backend.startswith("KERAS_BACKEND=jax is set")
    assert diagnose().healthy


def test_without_packaging_the_ranges_are_told_as_unchecked(installed: dict) -> None:
    del installed["versions"]["packaging"]
    assert "were not checked" in diagnose().hints[0]


def test_version_of_a_checkout(installed: dict) -> None:
    del installed["versions"]["tfgreen"]
    assert stack.tfgreen_version() != "unknown"
    assert "checkout" in diagnose().hints[0]
