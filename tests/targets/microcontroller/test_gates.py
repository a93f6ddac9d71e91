"""Files that would fail on the board fail on the host: exit code 3 and what to change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import TrainedModel
from tests.float_files import float_file
from tests.targets.microcontroller import files
from tests.tflite import small_networks
from tfgreen.bundle import Bundle
from tfgreen.cli.main import tfgreen_command
from tfgreen.errors import GateError
from tfgreen.pipeline import export
from tfgreen.runtimes import availability
from tfgreen.verification import Certificate

needs_micro = pytest.mark.skipif(
    not availability("micro").available, reason=availability("micro").reason
)


def judged(*arguments: str) -> tuple[int, Certificate]:
    done = CliRunner().invoke(tfgreen_command, ["verify", *arguments, "--json"])
    return done.exit_code, Certificate.from_json(json.dumps(json.loads(done.stdout)))


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (files.missing_op, "ops", "use the activation relu"),
        (files.external, "external-constants", "move it inside"),
        (files.weight_only, "surplus-conversion", "export the float model again"),
    ],
)
def test_the_structure_gate_says_what_to_change(
    tmp_path: Path, make: Callable[[], bytes], name: str, words: str
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(make())
    code, certificate = judged(str(path), "--profile", "microcontroller-int8")
    assert (code, certificate.gate("structure").status) == (3, "failed")
    first = certificate.failed_checks[0]
    assert first.name == name and words in first.message
    told = [
        check for check in certificate.failed_checks if (check.name, check.op) == (name, first.op)
    ]
    assert len(told) == len({check.message for check in told}), "nothing is told twice"


@needs_micro
def test_an_arena_over_the_budget(tmp_path: Path) -> None:
    """Two convolutions added: 6 x 6 x 4 = 144 bytes each of x, both results and the sum.

    The sum goes where x was: 3 * 144 = 432 of head; the tail comes on top.
    """
    path = tmp_path / "small-net.tflite"
    path.write_bytes(small_networks.two_convolutions_added())
    calibration = small_networks.runs(shape=(6, 6, 4))
    with pytest.raises(GateError, match=r"over the budget of 1,024: most of it is the tail") as caught:
        export(path, calibration, profile="microcontroller-int8", arena="1KB")
    assert caught.value.exit_code == 3
    bundle = caught.value.bundle
    facts = bundle.certificate.target["arena"]
    assert facts["planned_head_bytes"] == facts["head_bytes"] == 432
    assert [check.name for check in bundle.certificate.failed_checks] == ["arena-bytes"]
    folder = bundle.save(tmp_path / "kws")
    assert Bundle.read(folder).target_files == bundle.target_files
    assert (folder / "microcontroller" / "small_net_model" / "README.md").is_file()
    code, certificate = judged(str(folder))
    assert (code, certificate.target) == (3, bundle.certificate.target)
    assert certificate.failed_checks == bundle.certificate.failed_checks


@needs_micro
@pytest.mark.slow
@pytest.mark.parametrize("name", ["keyword", "residual", "autoencoder"])
def test_the_arena_of_trained_models(
    name: str,
    trained_model: Callable[[str], TrainedModel],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Head, tail and total as TFLM prints them; the plan's head is the same."""
    floats = float_file(trained_model(name), tmp_path_factory)
    bundle = export(floats.path, floats.calibration, profile="microcontroller-int8", samples=8)
    facts = bundle.certificate.target["arena"]
    assert facts["total_bytes"] == bundle.certificate.arena_bytes
    assert facts["planned_head_bytes"] == facts["head_bytes"] == bundle.certificate.arena_head_bytes
    assert b"<svg" in bundle.target_files["microcontroller/arena.svg"]
