"""From export to the board's line: networks of the kinds that run on microcontrollers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TrainedModel
from tests.targets.microcontroller.compiling import STAND_IN, compiled, output_of
from tests.targets.microcontroller.rendered import board_source, c_arrays
from tests.targets.microcontroller.test_gates import check_arena
from tfgreen.bundle import Bundle
from tfgreen.flatbuffer import TfliteModel
from tfgreen.golden import Golden
from tfgreen.pipeline import export
from tfgreen.recheck import verify
from tfgreen.runtimes import Task, availability, run_tasks


@pytest.mark.slow
@pytest.mark.skipif(not availability("micro").available, reason="needs tflite-micro")
@pytest.mark.parametrize("name", ["keyword", "residual", "autoencoder"])
def test_an_exported_bundle_compiles_and_its_device_log_is_judged(
    request: pytest.FixtureRequest, tmp_path: Path, name: str
) -> None:
    source: TrainedModel = request.getfixturevalue(f"{name}_model")
    bundle = export(source.path, source.calibration, profile="microcontroller-int8", samples=8)
    check_arena(bundle, tmp_path)
    folder = bundle.save(tmp_path / "bundle")
    (library,) = folder.glob("microcontroller/*_model")
    code = library / "src" / library.name
    (embedded,) = c_arrays((code / "model_data.cc").read_text()).values()
    assert embedded.tobytes() == bundle.content

    model = TfliteModel.from_bytes(bundle.content)
    inputs, answers = golden_arrays(code, model)
    (outcome,) = run_tasks("micro", [Task("golden", embedded.tobytes(), inputs)])
    for got, expected in zip(outcome.outputs, answers, strict=True):
        np.testing.assert_array_equal(got, expected)

    board = tmp_path / "board.cc"
    golden = Golden({}, inputs, {"micro": answers})
    board.write_text(board_source(golden, answers, bundle.certificate.arena_bytes or 0))
    main = library / "examples" / "golden_test_plain" / "main.cc"
    program = compiled(
        [main, board, *sorted(code.glob("*.cc"))],
        tmp_path / "program",
        standard="c++17",
        options=[f"-I{library / 'src'}", f"-I{STAND_IN}", "-DTF_LITE_STATIC_MEMORY"],
    )
    log = tmp_path / "serial.log"
    log.write_bytes(output_of(program))
    certificate = verify(folder, samples=1, device_log=log)
    assert certificate.passed
    assert Bundle.read(folder).certificate == bundle.certificate
    (result,) = [run for run in certificate.runtime if run.kernel_set == "device"]
    assert (result.samples, result.max_quanta) == (len(inputs[0]), 0.0)


def golden_arrays(
    code: Path, model: TfliteModel
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """The golden inputs and answers as the C++ text has them, in the tensors' shapes."""
    arrays = c_arrays((code / "golden_data.cc").read_text())
    sides = []
    for role, indices in (("Input", model.inputs), ("Output", model.outputs)):
        flat = [values for key, values in arrays.items() if key.startswith(f"kGolden{role}")]
        pairs = zip(flat, indices, strict=True)
        sides.append(tuple(values.reshape(-1, *model.tensors[i].shape) for values, i in pairs))
    return sides[0], sides[1]
