"""Files that would fail on the board fail on the host: exit code 3 and what to change."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.targets.microcontroller import files
from tests.tflite import small_networks
from tests.trained_models import digits
from tfgreen.bundle import Bundle
from tfgreen.cli.main import tfgreen_command
from tfgreen.errors import GateError
from tfgreen.pipeline import export, make_bundle
from tfgreen.profile import load_profile
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
@pytest.mark.slow
def test_an_arena_over_the_budget(tmp_path: Path) -> None:
    """Two convolutions added: 6 x 6 x 4 = 144 bytes each of x, both results and the sum.

    The sum goes where x was: 3 * 144 = 432 of head; the tail comes on top.
    """
    path = tmp_path / "small-net.tflite"
    path.write_bytes(small_networks.two_convolutions_added())
    calibration = small_networks.runs(shape=(6, 6, 4))
    with pytest.raises(
        GateError, match=r"over the budget of 1,024: most of it is the tail"
    ) as caught:
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


def printed(content: bytes, folder: Path) -> dict[str, int]:
    """What TFLM prints of its arena when it is called without tfgreen."""
    path = folder / "file.tflite"
    path.write_bytes(content)
    script = (
        "import sys\n"
        "from tflite_micro.python.tflite_micro import runtime\n"
        "content = open(sys.argv[1], 'rb').read()\n"
        "runtime.Interpreter.from_bytes(content, arena_size=1 << 20).print_allocations()\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    return {part: int(size) for part, size in re.findall(r"allocation (\w+) (\d+) bytes", told)}


def check_arena(bundle: Bundle, folder: Path) -> None:
    """Every figure of the arena is TFLM's own print."""
    own, facts = printed(bundle.content, folder), bundle.certificate.target["arena"]
    assert {part: facts[f"{part}_bytes"] for part in ("total", "head", "tail")} == own
    assert facts["planned_head_bytes"] == own["head"]
    assert facts["to_load_bytes"] >= own["total"]
    assert b"<svg" in bundle.target_files["microcontroller/arena.svg"]
    assert any(name.endswith("op_resolver.h") for name in bundle.target_files)


@needs_micro
@pytest.mark.slow
def test_the_arena_of_a_mobilenet(tmp_path: Path) -> None:
    """MLPerf Tiny's: width 0.25, 96 x 96 x 3; the weights do not matter here.

    But for the SOFTMAX: TFLM aborts on one whose logits are as small as those of random weights.
    """
    import keras

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet(
        (96, 96, 3), alpha=0.25, weights=None, classes=2, classifier_activation=None
    )
    images = digits(96, 3)[0][:64]
    bundle = make_bundle(model, images, load_profile("microcontroller-int8"))
    check_arena(bundle, tmp_path)
    assert bundle.certificate.target["arena"]["head_bytes"] == 73_728
