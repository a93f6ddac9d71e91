"""The built wheel on a machine without TensorFlow, and profiles from every kind of installation.

Nothing is downloaded: the fresh environments get their packages as links to those installed here.
Only pip's resolver, in the slow test, asks the index that pip is configured with.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import TrainedModel

ROOT = Path(__file__).parents[1]
LIGHT = ("numpy", "ai-edge-litert", "flatbuffers", "click", "rich", "pydantic")
SOURCES = ("tfgreen", "export_profiles", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def run(*command: str | Path, folder: Path | None = None, expect: int = 0) -> str:
    """Run a command with nothing of this checkout in reach; its standard output."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == expect, result.stdout + result.stderr
    return result.stdout


def with_requirements(names: tuple[str, ...]) -> set[str]:
    """The packages and all that they require in turn, extras left out."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def fresh_environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """A new virtual environment that holds these packages only; its bin folder."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in with_requirements(packages):
        installed = distribution(name)
        for file in installed.files or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(Path(str(installed.locate_file(top))).resolve())
    return folder / "bin"


def install(python: Path, *what: str | Path) -> None:
    """pip of this environment, installing into another without looking anything up."""
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-build-isolation", *what)


@pytest.fixture(scope="module")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the wheel is made from, so that building leaves this checkout alone."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, source_tree)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def machine(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and the light packages; its bin folder."""
    binaries = fresh_environment(tmp_path_factory.mktemp("machine"), LIGHT)
    install(binaries / "python", wheel)
    return binaries


@pytest.fixture(scope="module")
def bundle(keyword_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle exported here, with TensorFlow."""
    folder = tmp_path_factory.mktemp("export") / "bundle"
    subprocess.run(
        [sys.executable, "-c", "from tfgreen.cli.main import main; main()"]
        + ["export", keyword_model.path]
        + ["--calibration", keyword_model.calibration, "--evaluate", keyword_model.evaluation]
        + ["-o", folder],
        check=True,
        cwd=ROOT,
        capture_output=True,
        timeout=300,
    )
    return folder


def test_the_wheel_holds_data_profiles_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    profiles = {f"tfgreen/_export_profiles/{p.name}" for p in ROOT.glob("export_profiles/*.toml")}
    assert len(profiles) == 11
    assert profiles <= names
    assert {"tfgreen/py.typed", "tfgreen/demonstration/keywords.npz"} <= names
    assert "tfgreen/verification/known_bad_kernels.toml" in names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "tfgreen").rglob("*.py")}
    assert modules <= names
    assert not {name for name in names if name.startswith(("tests/", "benchmarks/"))}


def test_there_is_no_tensorflow_on_the_machine(machine: Path) -> None:
    run(machine / "python", "-c", "import tensorflow", expect=1)
    run(machine / "python", "-c", "import keras", expect=1)


def test_help_and_profiles(machine: Path) -> None:
    assert "verify" in run(machine / "tfgreen", "--help")
    listed = run(machine / "tfgreen", "profiles")
    for path in ROOT.glob("export_profiles/*.toml"):
        assert path.stem in listed


def test_inspect_a_file(machine: Path, bundle: Path) -> None:
    assert "DEPTHWISE_CONV_2D" in run(machine / "tfgreen", "inspect", bundle / "model.tflite")


def test_verify_a_bundle(machine: Path, bundle: Path) -> None:
    certificate = json.loads(run(machine / "tfgreen", "verify", "--json", bundle))
    assert certificate["verdict"] == "passed"
    assert run(machine / "tfgreen", "verify", bundle).split()[0] == "PASSED"


def test_a_changed_bundle_is_refused(machine: Path, bundle: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(bundle, tmp_path / "changed")
    content = bytearray((changed / "model.tflite").read_bytes())
    content[-1] ^= 1
    (changed / "model.tflite").write_bytes(content)
    run(machine / "tfgreen", "verify", changed, expect=3)


def test_export_names_what_is_missing(machine: Path, keyword_model: TrainedModel) -> None:
    command = [machine / "tfgreen", "export", keyword_model.path]
    command += ["--calibration", keyword_model.calibration, "-o", "never.tflite"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "needs tensorflow, which is not installed: pip install tensorflow" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_pip_finds_versions_that_fit_together(wheel: Path, python: str, tmp_path: Path) -> None:
    """As on a fresh machine with that Python; nothing is installed."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--python-version", python, "--only-binary=:all:", "--target", tmp_path / "never"]
    result = subprocess.run(
        [*map(str, command), "--report", str(report), str(wheel)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if "No matching distribution found for tensorflow" in result.stderr:
        pytest.skip("pip has no index with TensorFlow here")
    assert result.returncode == 0, result.stderr
    chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = {package["metadata"]["name"].lower().replace("_", "-") for package in chosen}
    assert {"tfgreen", "tensorflow", "tf-keras", "keras", "ai-edge-quantizer"} <= names


PROFILES_OF = "import tfgreen; print(*tfgreen.list_profiles())"


def test_profiles_of_an_editable_installation(source_tree: Path, tmp_path: Path) -> None:
    binaries = fresh_environment(tmp_path / "editable", (*LIGHT, "setuptools"))
    install(binaries / "python", "--editable", source_tree)
    assert "mobile-int8" in run(binaries / "python", "-c", PROFILES_OF, folder=tmp_path).split()


def test_profiles_of_a_checkout(source_tree: Path, tmp_path: Path) -> None:
    binaries = fresh_environment(tmp_path / "checkout", LIGHT)
    listed = run(binaries / "python", "-c", PROFILES_OF, folder=source_tree)
    assert "mobile-int8" in listed.split()
