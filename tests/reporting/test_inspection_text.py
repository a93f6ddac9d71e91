"""Inspections and other records as text."""

from __future__ import annotations

from tests.tiny_models import OpSpec, TensorSpec, build, int8_classifier
from tfgreen.doctor import Diagnosis, Package
from tfgreen.inspection.records import LayerFacts, ModelInspection
from tfgreen.inspection.tflite_file import inspect_tflite
from tfgreen.profile import list_profiles, load_profile
from tfgreen.reporting.doctor_text import doctor_text
from tfgreen.reporting.inspection_text import render_inspection
from tfgreen.reporting.profile_text import profile_source, profiles_text
from tfgreen.reporting.tables import to_text


def test_tflite_file() -> None:
    text = to_text(render_inspection(inspect_tflite(int8_classifier(), "kws.tflite")), 160)
    assert text.startswith("kws.tflite")
    assert "2 integer, 0 float" in text
    row = next(line for line in text.splitlines() if "FULLY_CONNECTED" in line)
    assert "0.04 / 3" in row
    assert "int8, 4 scales" in row
    assert "-1 to 0.9922" in text, "the real range of the input: 127 / 128"


def test_short_leaves_the_ops_out() -> None:
    text = to_text(render_inspection(inspect_tflite(int8_classifier()), short=True))
    assert "FULLY_CONNECTED" not in text
    assert "2 integer" in text


def test_markup_in_names_is_shown() -> None:
    tensors = [TensorSpec(name, (1, 2), "float32") for name in ("[bold]a", "b", "[/]\x1b[1mc")]
    content = build(tensors, [OpSpec("ADD", ["[bold]a", "b"], ["[/]\x1b[1mc"])], ["[bold]a"], [])
    text = to_text(render_inspection(inspect_tflite(content)), 160)
    assert "[bold]a: float32 1x2" in text
    assert "[/]?[1mc" in text


def test_model() -> None:
    layer = LayerFacts(
        name="dense", class_name="Dense", dtype="float32", weights=((3, 4), (4,)), parameters=16,
        sparsity=0.25, size_bytes=64,
    )  # fmt: skip
    model = ModelInspection(
        path=None, size_bytes=64, sha256=None, parameters=16, sparsity=0.25, flavour="object",
        class_name="Sequential", layers=(layer,), notes=("A note.",),
    )  # fmt: skip
    text = to_text(render_inspection(model))
    assert text.startswith("In memory  object Sequential")
    assert "3x4, 4" in text
    assert "25.0 %" in text
    assert "A note." in text


def test_profiles() -> None:
    text = profiles_text(map(load_profile, list_profiles()))
    for name in list_profiles():
        assert name in text
    assert "mobile-int8 *" in text
    assert profile_source("mobile-int8").startswith("#")


def test_diagnosis() -> None:
    packages = (
        Package("numpy", "2.4.6", "ok"),
        Package("keras", "2.15", "clash", "keras 2.15 is installed, but tfgreen asks for >=3.6."),
    )
    diagnosis = Diagnosis("0.1", "3.11", "Linux", 2, packages, ("A hint.",))
    lines = doctor_text(diagnosis).splitlines()
    assert lines[0] == "1 problem, see below"
    assert "- keras 2.15 is installed, but tfgreen asks for >=3.6." in lines
    assert lines[-1] == "- A hint."
    assert doctor_text(diagnosis, short=True).startswith("keras 2.15 is installed")
