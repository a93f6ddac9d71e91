"""From any source of a model to a bundle: what goes in, what comes out, what is refused."""

from __future__ import annotations

import hashlib
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfgreen as tg
from tests import tiny_models
from tests.conftest import TrainedModel
from tests.encodings.networks import inputs, layer
from tests.float_files import FloatFile, float_file
from tests.tflite import small_networks
from tfgreen import given_samples, pipeline
from tfgreen.bundle import Bundle
from tfgreen.data import Samples
from tfgreen.errors import (
    ConversionError,
    GateError,
    InvalidDataError,
    InvalidProfileError,
    UnknownNameError,
    UsageError,
)
from tfgreen.flatbuffer import TfliteModel
from tfgreen.footprint.ledger import Ledger
from tfgreen.given_samples import CALIBRATION_LIMIT, GivenSamples
from tfgreen.golden import Golden
from tfgreen.pipeline import bundle_making, export
from tfgreen.profile import parse_bytes
from tfgreen.reporting.inspection_text import render_inspection
from tfgreen.reporting.page import BundleReport
from tfgreen.reporting.tables import to_text
from tfgreen.signature import InputSpec
from tfgreen.tflite.quantization import Quantized
from tfgreen.verification.golden_vectors import golden_vectors

Arrays = dict[str, np.ndarray]


def arrays(path: Path) -> Arrays:
    with np.load(path) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def keyword_bundle(keyword_model: TrainedModel) -> Bundle:
    """The keyword spotter, exported from its .keras file and two .npz files."""
    return export(
        keyword_model.path,
        keyword_model.calibration,
        profile="microcontroller-int8",
        evaluate=keyword_model.evaluation,
    )


def test_a_bundle_keeps_what_the_export_took(keyword_bundle: Bundle, tmp_path: Path) -> None:
    """TensorFlow runs in a child: its processor time is in, or the conversion would take none."""
    assert keyword_bundle.ledger is not None
    ledger = Ledger()
    ledger.add(keyword_bundle.ledger)
    stages = ledger.stages()
    assert list(stages) == ["conversion", "encoding", "verification", "target"]
    assert stages["conversion"].cpu_seconds > 2
    assert stages["verification"].cpu_seconds > 0.1
    assert all(stage.method == "modelled" for stage in stages.values())
    assert ledger.total(purpose="training").entries == 0
    read = Bundle.read(keyword_bundle.save(tmp_path / "kws"))
    assert read.ledger == keyword_bundle.ledger


def test_a_bundle_reports_what_was_won_and_lost(
    keyword_bundle: Bundle, keyword_model: TrainedModel, tmp_path: Path
) -> None:
    """The report's figures are the certificate's, and before is the float file's own."""
    folder = keyword_bundle.save(tmp_path / "kws")
    report = BundleReport.from_json((folder / "report.json").read_bytes())
    assert report.verdict == "passed" and report.name == keyword_model.path.stem
    figures = {figure.key: figure for figure in report.figures}
    metric = keyword_bundle.certificate.metrics[0]
    accuracy = figures[f"metric/{metric.output}/micro"]
    assert accuracy.after is not None and accuracy.before is not None
    (answers,) = report.answers
    samples = metric.samples["micro"]
    assert sum(score.samples for score in answers.scores) == answers.samples == samples
    right = sum(score.file_right for score in answers.scores)
    float_right = sum(score.float_right for score in answers.scores)
    assert accuracy.after.typical == pytest.approx(right / samples)
    assert accuracy.before.typical == pytest.approx(float_right / samples)
    size = figures["file_bytes"]
    assert size.before is not None and size.after is not None
    assert size.after.typical == len(keyword_bundle.content) < size.before.typical
    assert figures["macs"].before == figures["macs"].after
    assert [line.index for line in report.layers] == list(range(len(report.layers)))
    assert all(line.is_compared and line.kernels for line in report.layers)
    (export_line,) = (line for line in report.reproduction.commands if " export " in line)
    assert str(keyword_model.calibration) in export_line
    assert "--profile microcontroller-int8" in export_line


def test_a_given_ledger_goes_before_the_export_s_own(tmp_path: Path) -> None:
    given = Ledger(tmp_path / "training.json")
    with given.stage("train"):
        pass
    path = tmp_path / "dense.tflite"
    path.write_bytes(small_networks.dense())
    bundle = export(path, profile="mobile-float16", ledger=tmp_path / "training.json")
    assert bundle.ledger is not None
    names = [entry.stage for entry in bundle.ledger.entries]
    assert names == ["train", "conversion", "encoding", "verification", "target"]
    assert Ledger.read(tmp_path / "training.json").document == given.document


@pytest.fixture(scope="module")
def autoencoder(
    autoencoder_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> FloatFile:
    return float_file(autoencoder_model, tmp_path_factory)


def test_a_bundle_says_where_it_comes_from(
    keyword_bundle: Bundle, keyword_model: TrainedModel
) -> None:
    calibration = Samples({"mfcc": arrays(keyword_model.calibration)["mfcc"]})
    assert keyword_bundle.certificate.passed
    assert keyword_bundle.calibration_sha256 == calibration.sha256()
    assert keyword_bundle.calibration_source.endswith(keyword_model.calibration.name)
    assert keyword_bundle.evaluation_source.endswith(keyword_model.evaluation.name)
    assert keyword_bundle.evaluation_sha256 != keyword_bundle.calibration_sha256
    assert keyword_bundle.facts["model"] == {
        "kind": "keras3",
        "sha256": hashlib.sha256(keyword_model.path.read_bytes()).hexdigest(),
        "keras_version": version("keras"),
    }
    assert keyword_bundle.facts["float_error"] < 1e-5
    assert keyword_bundle.facts["data_findings"] == []
    model = TfliteModel.from_bytes(keyword_bundle.content)
    assert (model.input_names, model.output_names) == (("mfcc",), ("word",))


def test_a_bundle_for_microcontrollers_has_its_arena_and_sources(keyword_bundle: Bundle) -> None:
    arena = keyword_bundle.certificate.target["arena"]
    if arena["measured_by"] is not None:
        assert arena["planned_head_bytes"] == arena["head_bytes"]
        assert arena["total_bytes"] == keyword_bundle.certificate.arena_bytes
    assert arena["peak"]["layer"] == "depthwise_conv2d"
    assert b"depthwise_conv2d" in keyword_bundle.target_files["microcontroller/arena.svg"]
    assert "microcontroller/keyword_model/README.md" in keyword_bundle.target_files


def test_golden_vectors_are_evaluation_samples_and_their_answers(
    keyword_bundle: Bundle, keyword_model: TrainedModel
) -> None:
    evaluation = arrays(keyword_model.evaluation)["mfcc"]
    golden = keyword_bundle.golden
    assert golden.inputs["mfcc"].shape == (8, 49, 10, 1)
    for sample in golden.inputs["mfcc"]:
        assert (evaluation == sample).all(axis=(1, 2, 3)).any()
    facts = TfliteModel.from_bytes(keyword_bundle.content).tensors[0].quantization
    stored = np.round(golden.inputs["mfcc"] / facts.scales[0]) + facts.zero_points[0]
    np.testing.assert_array_equal(golden.file_inputs[0][:, 0], stored.clip(-128, 127))


def test_evaluation_data_never_influence_the_file(
    keyword_bundle: Bundle, keyword_model: TrainedModel
) -> None:
    """Other samples and wrong labels: another certificate, the same file to the byte."""
    given = arrays(keyword_model.evaluation)
    evaluate = {"mfcc": given["mfcc"][40:90] * 1.1, "y": (given["y"][40:90] + 1) % 12}
    bundle = pipeline.make_bundle(
        keyword_model.path,
        arrays(keyword_model.calibration),
        tg.load_profile("microcontroller-int8"),
        evaluate,
    )
    assert bundle.content == keyword_bundle.content, "and exporting twice gives the same bytes"
    assert bundle.certificate.metrics != keyword_bundle.certificate.metrics
    assert bundle.evaluation_sha256 != keyword_bundle.evaluation_sha256


def test_a_keras_model_object_is_exported_as_its_file_is(
    keyword_bundle: Bundle,
    keyword_model: TrainedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """In a notebook: one line, which prints the verdict."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = tg.load_model(keyword_model.path)
    before = [np.array(w) for w in model.get_weights()]
    calibration = arrays(keyword_model.calibration)["mfcc"]
    told: list[str] = []
    bundle = tg.export(model, calibration, on_progress=lambda step, done, of: told.append(step))
    inside, other = (TfliteModel.from_bytes(b.content) for b in (bundle, keyword_bundle))
    assert [op.name for op in inside.ops] == [op.name for op in other.ops]
    assert bundle.content == keyword_bundle.content
    printed = capsys.readouterr().out
    assert printed.startswith("PASSED  mobile-int8")
    assert bundle.certificate.metric_samples is None, "judged on the calibration samples"
    assert bundle.facts["model"] == keyword_bundle.facts["model"] | {"sha256": None}
    assert told[0] == "reading the data" and told[-1] == "the target"
    assert list(tmp_path.iterdir()) == [], "nothing is left in the temporary folder"
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_saved_model_folder(
    keyword_model: TrainedModel, keyword_bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "saved model"
    tg.load_model(keyword_model.path).export(folder, verbose=False)
    bundle = export(folder, keyword_model.calibration, evaluate=keyword_model.evaluation)
    assert bundle.certificate.passed
    assert bundle.certificate.sqnr_db == pytest.approx(keyword_bundle.certificate.sqnr_db, abs=3)


def test_a_tf_keras_model_object(autoencoder: FloatFile) -> None:
    import tf_keras

    inputs = tf_keras.Input((490,), name="frames")
    hidden = tf_keras.layers.Dense(16, activation="relu")(inputs)
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(490, name="rebuilt")(hidden))
    bundle = export(model, autoencoder.calibration)
    facts = TfliteModel.from_bytes(bundle.content)
    assert bundle.certificate.passed and facts.input_names == ("frames",)
    assert [op.name for op in facts.ops] == ["FULLY_CONNECTED", "FULLY_CONNECTED"]


def test_inputs_and_outputs_are_matched_by_name(two_branch_model: TrainedModel) -> None:
    """Two inputs of one shape, given in the other order, and a label for each output."""
    calibration = arrays(two_branch_model.calibration)
    evaluation = arrays(two_branch_model.evaluation)
    bundle = export(
        two_branch_model.path,
        {name: calibration[name] for name in ("alpha", "zeta")},
        evaluate=dict(reversed(evaluation.items())),
    )
    model = TfliteModel.from_bytes(bundle.content)
    assert set(model.input_names) == {"zeta", "alpha"}
    assert set(model.output_names) == {"digit", "ink"}
    for name, index in zip(model.input_names, model.inputs, strict=True):
        scale = float(model.tensors[index].quantization.scales[0])
        widest = np.abs(calibration[name]).max()
        assert 0.4 * widest < 255 * scale < 2.1 * widest, "each has the range of its own samples"
    metrics = {metric.output: metric for metric in bundle.certificate.metrics}
    assert metrics["digit"].kind == "accuracy" and metrics["digit"].float_model > 0.8
    assert metrics["ink"].kind == "mean-absolute-error"


def test_batches_of_four(keyword_model: TrainedModel) -> None:
    """200 samples calibrate as 50 batches; of 99 evaluation samples 96 fill whole batches."""
    evaluation = {name: array[:99] for name, array in arrays(keyword_model.evaluation).items()}
    bundle = export(
        keyword_model.path,
        keyword_model.calibration,
        profile="microcontroller-int8",
        evaluate=evaluation,
        batch=4,
    )
    model = TfliteModel.from_bytes(bundle.content)
    assert model.tensors[model.inputs[0]].shape == (4, 49, 10, 1)
    assert bundle.certificate.metric_samples.count == 96
    assert bundle.golden.file_inputs[0].shape == (2, 4, 49, 10, 1)
    assert bundle.golden.inputs["mfcc"].shape == (8, 49, 10, 1)


def test_a_failed_gate_raises_with_the_bundle_and_all_failures(
    autoencoder: FloatFile, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Judged by a model of other weights, without labels, and with far too small a budget."""
    root = tiny_models.unpack(autoencoder.content)
    for buffer in root.buffers:
        if buffer.data is not None and len(buffer.data) > 1000:
            values = np.frombuffer(bytes(buffer.data), np.float32)
            buffer.data = np.frombuffer((-values[::-1]).tobytes(), np.uint8)
    other = tmp_path / "other.tflite"
    other.write_bytes(tiny_models.pack(root))
    with pytest.raises(GateError, match=r"may not be shipped: .*\(and \d more\)$") as told:
        export(
            autoencoder.path,
            autoencoder.calibration,
            evaluate={k: v for k, v in autoencoder.evaluation.items() if not k.startswith("y")},
            against=other,
            flash="1KB",
        )
    bundle = told.value.bundle
    failed = {check.gate for check in bundle.certificate.failed_checks}
    assert {"structure", "fidelity"} <= failed and bundle.certificate.verdict == "failed"
    assert capsys.readouterr().out.startswith("FAILED  mobile-int8")
    kept = Bundle.read(bundle.save(tmp_path / "kept"))
    assert kept.certificate == bundle.certificate and kept.content == bundle.content
    assert told.value.exit_code == 3


def test_held_against_the_model_before_a_training(
    keyword_model: TrainedModel, tmp_path: Path
) -> None:
    """Other weights, nearly the same answers: the labels judge, the distance is told."""
    import keras

    other = keras.models.load_model(keyword_model.path)
    for block in other.layers[-2:]:
        block.set_weights([0.3 * weights for weights in block.get_weights()])
    before = tmp_path / "before.keras"
    other.save(before)
    given = {"calibration": keyword_model.calibration, "against": before}
    bundle = export(keyword_model.path, evaluate=keyword_model.evaluation, **given)
    checks = {check.name: check for check in bundle.certificate.gate("fidelity").checks}
    assert bundle.certificate.passed and checks["metric"].status == "passed"
    assert checks["sqnr"].status == "warning" and "the labels judge" in checks["sqnr"].message


def test_without_any_data_where_none_is_needed(autoencoder: FloatFile) -> None:
    """The gates run on made-up inputs, and say so; there is nothing for golden vectors."""
    bundle = export(autoencoder.path, profile="mobile-dynamic-int8")
    fidelity = bundle.certificate.gate("fidelity")
    assert [check.name for check in fidelity.checks] == ["samples", "sqnr", "layers"]
    assert fidelity.checks[0].status == "warning" and "made up" in fidelity.checks[0].message
    assert fidelity.status == "passed" and bundle.certificate.sqnr_db > 10
    assert bundle.certificate.agreement is None and not bundle.certificate.metrics
    assert bundle.certificate.samples.origin == "random"
    assert len(bundle.golden) == 0 and bundle.calibration_sha256 is None


@pytest.mark.slow
def test_a_function_that_returns_a_model() -> None:
    """Its inputs are known only to a child that has called it."""
    x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    bundle = export(f"{__name__}:small_dense", x)
    assert bundle.certificate.passed
    assert TfliteModel.from_bytes(bundle.content).input_names == ("values",)


def small_dense() -> Any:
    import keras

    inputs = keras.Input((8,), name="values")
    return keras.Sequential([inputs, keras.layers.Dense(4)])


class _NoConversionError(Exception):
    """Raised where a refused call must not arrive."""


@pytest.fixture
def no_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> Quantized:
        raise _NoConversionError

    monkeypatch.setattr(bundle_making, "convert_or_equalize", refuse)


@pytest.fixture
def dense_file(tmp_path: Path) -> Path:
    """A float file of one dense layer: input "x" of 64 values, output "y" of 32."""
    path = tmp_path / "dense.tflite"
    path.write_bytes(small_networks.dense())
    return path


def samples(count: int = 40, width: int = 64) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, width)).astype(np.float32)


MISSPELT = tg.load_profile("coral-edgetpu-int8").model_copy(update={"ops": ("CONV2D",)})


def with_nan() -> np.ndarray:
    x = samples()
    x[3, 5] = np.nan
    return x


@pytest.mark.parametrize(
    ("calibration", "options", "error", "words"),
    [
        (None, {}, UsageError, "Profile mobile-int8 needs calibration samples"),
        (with_nan(), {}, InvalidDataError, "1 NaN .* first in sample 3"),
        (samples(width=63), {}, InvalidDataError, "63"),
        ({"other": samples()}, {}, InvalidDataError, "other"),
        (np.zeros((40, 64), np.float32), {}, InvalidDataError, "is 0 in every value"),
        (samples(), {"evaluate": with_nan()}, InvalidDataError, "1 NaN"),
        (samples(), {"evaluate": (samples(), np.zeros(3))}, InvalidDataError, "number of samples"),
        (samples(3), {"batch": 4}, InvalidDataError, "3 samples, .* takes 4"),
        (samples(), {"evaluate": samples(2), "batch": 4}, InvalidDataError, "2 samples, .* takes"),
        (samples(), {"profile": "mobile-int9"}, UnknownNameError, "Did you mean 'mobile-int8'"),
        (samples(), {"io": "int4"}, UnknownNameError, "int4"),
        (samples(), {"profile": MISSPELT}, InvalidProfileError, "Did you mean 'CONV_2D'"),
        (samples(), {"flash": "many"}, UsageError, "many"),
        (samples(), {"memory_limit": "plenty"}, UsageError, "plenty"),
        (None, {"profile": "mobile-float16", "evaluate": with_nan()}, InvalidDataError, "1 NaN"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_converted(
    no_conversion: None,
    dense_file: Path,
    calibration: Any,
    options: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        export(dense_file, calibration, **options)


def test_no_more_evaluation_data_than_the_gates_use() -> None:
    """Sorted by class, say: the first and the last are among them."""
    rows = np.arange(9000, dtype=np.float32)[:, np.newaxis]
    spec = InputSpec("x", (1,), "float32")
    held = given_samples.read_evaluation((rows, rows), [spec], ["y"], 64)
    assert len(held) == 2000 and "2000 of 9000 samples, evenly spaced" in held.source
    assert (held.labels["y"][0], held.labels["y"][-1]) == (0, 8999)
    assert len(given_samples.read_evaluation(rows, [spec], ["y"], 3000)) == 3000, "--samples 3000"


def test_sound_data_do_arrive_at_the_conversion(no_conversion: None, dense_file: Path) -> None:
    with pytest.raises(_NoConversionError):
        export(dense_file, samples(), evaluate=samples())


@pytest.mark.skipif("sys.platform == 'win32'", reason="no limit of address space there")
@pytest.mark.parametrize("limit", ["60MB", 2**30])
def test_a_memory_limit_bounds_the_converters_process(dense_file: Path, limit: Any) -> None:
    words = f"more memory than the limit of {parse_bytes(limit):,} bytes"
    with pytest.raises(ConversionError, match=words):
        export(dense_file, samples(), memory_limit=limit)


def test_what_is_odd_about_the_data_is_told(
    dense_file: Path, capsys: pytest.CaptureFixture
) -> None:
    """On the screen, and in the certificate, which goes where the file goes."""
    bundle = export(dense_file, samples(12), profile="raspberry-pi-int8")
    printed = capsys.readouterr().out.splitlines()
    warned = "Only 12 calibration samples: the extremes of the activations are probably missed."
    assert [line for line in printed if line.startswith(f"  warning: {warned}")]
    assert any(note.startswith(warned) for note in bundle.certificate.notes)
    assert "The Pi's ARM kernels are not run here" in bundle.certificate.notes[0]
    calibration = bundle.certificate.calibration
    assert (calibration.count, calibration.sha256) == (12, bundle.calibration_sha256)


def test_of_many_calibration_samples_some_hundred_are_used(
    dense_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def count(model: str, profile: object, calibration: Arrays, *rest: object, **_: object) -> None:
        seen.append(len(calibration["x"]))
        raise _NoConversionError

    monkeypatch.setattr(bundle_making, "convert_or_equalize", count)
    with pytest.raises(_NoConversionError):
        export(dense_file, samples(800))
    assert seen == [CALIBRATION_LIMIT]


@pytest.mark.parametrize(
    ("batch", "count", "calls"), [(1, 3, 3), (1, 90, 8), (3, 90, 2), (9, 20, 1)]
)
def test_golden_vectors_fill_whole_batches(batch: int, count: int, calls: int) -> None:
    content = tiny_models.int8_conv(batch=batch)
    images = np.random.default_rng(0).uniform(0, 1, (count, 6, 6, 3)).astype(np.float32)
    profile = tg.load_profile("mobile-int8").with_overrides(batch=batch)
    golden = golden_vectors(content, Samples({"image": images}), profile)
    assert golden.file_inputs[0].shape == (calls, batch, 6, 6, 3)
    assert len(golden.inputs["image"]) == calls * batch
    assert golden.outputs["reference"][0].shape == (calls, batch, 6, 6, 4)
    assert isinstance(golden, Golden)


@pytest.mark.parametrize(("label", "told"), [(7, ["few-classes"]), (64, [])])
def test_labels_are_classes_only_where_the_output_has_as_many(label: int, told: list[str]) -> None:
    """The dense layer gives 32 values: there is a class 7, and 64 is a number of a regression."""
    data = GivenSamples(Samples({"x": samples()}, {"y": np.full(40, label)}), None, [])
    found = data.with_class_findings(small_networks.dense()).findings
    assert [finding["code"] for finding in found] == told


def test_a_pruned_model_is_stored_sparsely(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The certificate, the golden vectors and the bundle on disk are of the sparse file."""
    path = tmp_path / "pruned.tflite"
    path.write_bytes(layer("conv", "float32", zeros=0.9))
    bundle = export(path, profile="mobile-float16", evaluate=inputs("conv", "float32", 8)[0][:, 0])
    told = capsys.readouterr().out
    dense, sparse = bundle.facts["encoding"]["files"]
    assert bundle.facts["encoding"]["chosen"] == "sparse"
    assert len(bundle.content) == sparse["size_bytes"] < dense["size_bytes"]
    assert hashlib.sha256(bundle.content).hexdigest() == bundle.certificate.model_sha256
    assert bundle.certificate.passed
    assert f"sparse: {sparse['size_bytes']:,} bytes" in told
    assert "none of them makes a kernel faster" in told
    assert any("DENSIFY unpacks" in note for note in bundle.certificate.notes)
    folder = bundle.save(tmp_path / "bundle")
    assert tg.verify(folder).passed
    assert "Encodings" in to_text(render_inspection(tg.inspect(folder)))
    (note,) = tg.inspect(folder / "model.tflite").notes
    assert note == "1 further op, DENSIFY: weights are packed; shown is the file with plain ones."


def test_an_encoding_that_the_target_lacks_is_refused_at_once(
    no_conversion: None, dense_file: Path
) -> None:
    with pytest.raises(UsageError, match="does not take the encoding 'decode'"):
        export(dense_file, samples(), encoding="decode")
