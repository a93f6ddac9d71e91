"""The whole account: files timed by a made-up clock, ledgers, devices, carbon, money."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tfgreen as tg
from tests.benchmarking.test_latency import float_adder
from tests.certificates import certificate_of
from tests.footprint.test_ledger import entry_of
from tests.tiny_models import int8_classifier
from tfgreen.accounting import report as module
from tfgreen.accounting.report import report
from tfgreen.accounting.subjects import Device
from tfgreen.benchmarking import latency
from tfgreen.bundle import Bundle
from tfgreen.cli.main import tfgreen_command
from tfgreen.errors import InvalidDataError, MissingPathError, UnknownNameError, UsageError
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.ledger import Ledger
from tfgreen.profile import load_profile

INT8_SECONDS, FLOAT_SECONDS = 0.001, 0.003


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every int8 run takes 1 ms of processor time, every float one 3 ms, on each kernel set."""

    def run(folder: Path, tell: Any) -> dict[str, Any]:
        order = json.loads((folder / "order.json").read_text())
        content = [(folder / file["path"]).read_bytes() for file in order["files"]]
        seconds = [INT8_SECONDS if one == int8_classifier() else FLOAT_SECONDS for one in content]
        probe = {"status": "ok", "load_seconds": 0.1, "first_run_seconds": 0.1}
        blocks = [[[seconds[c["file"]]] * 2] * 20 for c in order["candidates"]]
        return {
            "host": {"processor": "P", "machine": "m", "system": "S", "cpus": 2, "python": "3",
                     "litert": "2", "load_before": 0.0, "load_after": 0.0},
            "threads": [1],
            "probes": [[probe | {"added_bytes": None, "peak_bytes": None}] for _ in blocks],
            "sessions": [{"status": "ok", "threads": 1, "candidates": list(range(len(blocks))),
                          "cpus": [1], "blocks": blocks}],
        }  # fmt: skip

    monkeypatch.setattr(latency, "run_here", run)


def bundle_of(profile: str, ledger: Ledger | None = None) -> Bundle:
    content = int8_classifier()
    return Bundle(
        content=content,
        certificate=certificate_of(content, profile=profile),
        profile=load_profile(profile),
        ledger=None if ledger is None else ledger.document,
    )


def ledger_of(**stages: float) -> Ledger:
    """Stages with their processor seconds, modelled at 1, 4 and 9 W."""
    ledger = Ledger()
    for number, (name, seconds) in enumerate(stages.items()):
        joules = Amount(low=1, typical=4, high=9) * seconds
        ledger.add([entry_of(number, name, joules, cpu_seconds=seconds, wall_seconds=seconds)])
    return ledger


@pytest.fixture
def int8(tmp_path: Path) -> Path:
    return bundle_of("mobile-int8", ledger_of(train=600.0, qat=90.0, conversion=10.0)).save(
        tmp_path / "int8"
    )


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "float.tflite"
    path.write_bytes(float_adder())
    return path


@pytest.mark.usefixtures("clock")
def test_figures_by_hand(int8: Path, plain: Path) -> None:
    found = report(
        int8, against=plain, grid=360.0, price_kwh=0.30, inferences="1e9", watts=(1, 4, 9), pue=1.25
    )
    account = found.file("int8")
    cost = account.inferences[0]
    assert (cost.where, cost.method) == ("xnnpack", "modelled")
    joules = cost.per_thousand.joules
    assert (joules.low, joules.typical, joules.high) == pytest.approx((1.0, 4.0, 9.0))
    assert cost.per_thousand.grams is not None
    assert cost.per_thousand.grams.typical == pytest.approx(4.0 * 1.25 / 3.6e6 * 360.0)
    assert cost.money_per_million is not None
    assert cost.money_per_million.typical == pytest.approx(4000 * 1.25 / 3.6e6 * 0.30)
    assert cost.ratio is not None and cost.break_even is not None
    assert cost.ratio.typical == pytest.approx(1 / 3)
    assert cost.break_even.typical == pytest.approx(100.0 / 0.002)  # 100 s over 2 ms saved
    assert [one.where for one in account.inferences] == ["xnnpack", "optimized", "reference"]


@pytest.mark.usefixtures("clock")
def test_training_and_compression_stand_beside_inference(int8: Path) -> None:
    found = report(int8, grid=360.0, inferences=1000)
    account = found.file("int8")
    assert account.training is not None and account.compression is not None
    assert account.training.total.cpu_seconds == 600.0
    assert account.compression.total.cpu_seconds == 100.0
    (lifetime,) = found.lifetimes
    assert lifetime.once is not None
    parts = lifetime.inference.joules + lifetime.once.joules
    assert lifetime.total.joules == parts
    assert lifetime.once.joules.typical == pytest.approx(4 * 700.0)
    assert account.training.price.grams is not None
    stages = sum(spent.total.joules.typical for spent in account.stages.values())
    assert stages == pytest.approx(2800.0)


@pytest.mark.usefixtures("clock")
def test_a_training_that_bundles_share_counts_once(tmp_path: Path) -> None:
    shared = ledger_of(train=600.0)
    paths = []
    for name in ("one", "two", "three"):
        paths.append(bundle_of("mobile-int8", shared).save(tmp_path / name))
    found = report(paths, kernel_sets=["xnnpack"])
    assert found.spent is not None and found.spent.total.cpu_seconds == 600.0
    assert found.baseline == "one"


@pytest.mark.usefixtures("clock")
def test_modelled_with_a_range_wherever_it_is_shown(int8: Path, plain: Path) -> None:
    found = report(int8, against=plain, region="DEU", price_kwh=0.3, inferences="1e6")
    for claim in found.claims:
        if any(unit in claim for unit in (" J ", "mJ", "kJ", "Wh", " g ", "energy")):
            assert "modelled" in claim and " to " in claim, claim
    text = found.text()
    table = text[text.index("1,000 inferences") : text.index("Claims")]
    rows = [line for line in table.splitlines() if "J" in line or "Wh" in line]
    assert len(rows) > 6 and all("modelled" in row and " to " in row for row in rows)
    for part in (found.files[0].inferences, found.files[0].stages.values()):
        assert part
    assert all(not cost.per_thousand.joules.is_exact for cost in found.files[0].inferences)


def test_a_microcontroller_s_figure_comes_from_the_target_or_is_absent(tmp_path: Path) -> None:
    path = bundle_of("microcontroller-int8").save(tmp_path / "mcu")
    account = report(path).file("mcu")
    assert account.inferences == ()
    assert any("runs on a device of which nothing was told" in why for why in account.absent)
    told = report(path, device=Device(power="35mW", latency="181ms"), grid=381.0).file("mcu")
    (cost,) = told.inferences
    assert cost.where == "device" and cost.cpu_seconds is None
    assert cost.per_thousand.joules.typical == pytest.approx(6.335)
    assert "stated power of 35 mW times the stated latency of 181 ms" in cost.how


def test_vela_s_cycles_times_a_stated_power(tmp_path: Path) -> None:
    bundle = bundle_of("ethos-u55-int8")
    npu = {"npu": {"status": "compiled", "cycles": 100_000, "inference_seconds": 2e-4}}
    certificate = bundle.certificate.model_copy(update={"target": npu})
    path = replace(bundle, certificate=certificate).save(tmp_path / "npu")
    (cost,) = report(path, device=Device(power="0.1W")).file("npu").inferences
    assert cost.per_thousand.joules.typical == pytest.approx(0.1 * 2e-4 * 1000)
    assert "Vela-estimated latency" in cost.how
    found = report(path)
    assert found.file("npu").npu_cycles == 100_000
    assert "NPU cycles (Vela)" in found.text() and "100,000" in found.text()


def test_two_devices_are_compared_by_joules(tmp_path: Path) -> None:
    ledger = ledger_of(prune=1.0)
    one = bundle_of("microcontroller-int8").save(tmp_path / "one")
    two = bundle_of("microcontroller-int8", ledger).save(tmp_path / "two")
    devices = {"one": Device("40mW", "200ms"), "two": Device("40mW", "150ms")}
    (cost,) = report([one, two], device=devices).file("two").inferences
    assert cost.ratio is not None and cost.ratio.typical == pytest.approx(0.75)
    assert cost.break_even is not None and cost.break_even.basis == "joules"
    assert cost.break_even.typical == pytest.approx(4.0 / 0.002)
    assert (cost.break_even.low, cost.break_even.high) == pytest.approx((1 / 0.002, 9 / 0.002))


@pytest.mark.usefixtures("clock")
def test_a_measured_timing_brings_its_own_watts(
    int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.footprint.powercap_tree import PowercapTree
    from tfgreen.footprint.meter import Meter

    tree = PowercapTree(tmp_path / "powercap")

    class Metered(Meter):
        def __init__(self, **given: Any) -> None:
            super().__init__(powercap=tree.root, scope="machine", **given)

        def stop(self) -> Any:
            tree.spend(5.0)
            return super().stop()

    monkeypatch.setattr(module, "Meter", Metered)
    found = report(int8, kernel_sets=["xnnpack"])
    assert found.watts.name == "RAPL during the timing"
    assert "RAPL during the timing" in found.file("int8").inferences[0].how


@pytest.mark.usefixtures("clock")
def test_stated_watts_are_not_overruled_and_a_gpu_s_energy_is_not_the_processor_s(
    int8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfgreen.footprint.reading import Part, Reading

    def part(hardware: Any, source: Any, joules: float) -> Part:
        amount = Amount.exactly(joules)
        return Part(hardware=hardware, source=source, method="measured", joules=amount, how="test")

    class Metered:
        reading = Reading(
            parts=(part("processor", "RAPL", 20.0), part("gpu", "NVML", 1000.0)),
            cpu_seconds=4.0,
            wall_seconds=4.0,
        )

        def __init__(self, **given: Any) -> None: ...
        def __enter__(self) -> Metered:
            return self

        def __exit__(self, *given: object) -> None: ...

    monkeypatch.setattr(module, "Meter", Metered)
    assert report(int8, kernel_sets=["xnnpack"]).watts.amount == Amount.exactly(5.0)
    assert report(int8, kernel_sets=["xnnpack"], watts=(1, 4, 9)).watts.high == 9.0


def test_a_sum_is_measured_only_if_all_of_it_was(tmp_path: Path) -> None:
    """A power log beside a modelled training: the whole life is modelled, and so it is told."""
    log = tmp_path / "log.csv"
    log.write_text("time,power\n0,0.035\n1,0.035\n")
    device = Device(log=log, runs=5)
    path = bundle_of("microcontroller-int8", ledger_of(train=10.0, qat=1.0)).save(tmp_path / "mcu")
    found = report(path, device=device, inferences=1e6)
    assert found.file("mcu").inferences[0].method == "measured"
    assert found.lifetimes[0].method == "modelled"
    assert "at a PUE of 1, modelled" in found.claims[-1]
    alone = bundle_of("microcontroller-int8").save(tmp_path / "alone")
    assert report(alone, device=device, inferences=1e6).lifetimes[0].method == "measured"


def test_a_ratio_of_a_measured_and_a_modelled_device_is_modelled(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("time,power\n0,0.035\n1,0.035\n")
    paths = [
        bundle_of("microcontroller-int8", ledger_of(qat=1.0)).save(tmp_path / name)
        for name in ("one", "two")
    ]
    devices = {"one": Device("40mW", "250ms"), "two": Device(log=log, runs=5)}
    (cost,) = report(paths, device=devices).file("two").inferences
    assert cost.method == "measured" and cost.ratio is not None and cost.break_even is not None
    assert (cost.ratio.method, cost.break_even.method) == ("modelled", "modelled")


def test_each_price_is_told_for_what_it_pays(tmp_path: Path) -> None:
    """A device has no processor hours: its energy is paid by the kWh."""
    path = bundle_of("microcontroller-int8", ledger_of(qat=3600.0)).save(tmp_path / "mcu")
    device = Device(power="30mW,36mW,50mW", latency="100ms")
    found = report(path, device=device, price_kwh=0.3, price_cpu_hour=0.05, inferences=1e6)
    (cost,) = found.file("mcu").inferences
    assert cost.money_per_million is not None
    assert cost.money_per_million.typical == pytest.approx(0.036 * 0.1 * 1e6 / 3.6e6 * 0.3)
    inference, compression, lifetime = found.claims
    assert "stated price of a kWh" in inference and "36 mW (30 to 50)" in inference
    assert "0.05 at the stated price of a processor hour" in compression
    assert "a kWh for inference, a processor hour for what was spent once" in lifetime


@pytest.mark.usefixtures("clock")
def test_compression_is_told_with_its_carbon_and_money(int8: Path) -> None:
    found = report(int8, grid=360.0, price_kwh=0.3)
    (claim,) = [one for one in found.claims if one.startswith("Compressing")]
    assert "40 mg (10 to 90) CO2e at 360 g CO2e/kWh" in claim and "at the stated price" in claim
    assert "Training it had taken 2.4 kJ (0.6 to 5.4), modelled (240 mg (60 to 540)" in claim


def test_stretches_that_never_ended_are_told(tmp_path: Path) -> None:
    ledger = ledger_of(train=600.0)
    killed = entry_of(2, "qat", Amount.exactly(4.0), finished=False)
    ledger.add([killed])
    path = bundle_of("mobile-int8", ledger).save(tmp_path / "kws")
    found = report(path, kernel_sets=[])
    assert found.spent is not None and found.spent.total.interrupted == 1
    assert any("Of 2 stretches in the ledgers 1 never ended" in note for note in found.notes)
    assert "qat: 4 J modelled (model)" in str(ledger) and "1 interrupted" in str(ledger)


@pytest.mark.usefixtures("clock")
def test_a_stage_inside_one_of_the_other_purpose_is_spent_once(tmp_path: Path) -> None:
    ledger, joules = Ledger(), Amount(low=1, typical=4, high=9)
    ledger.add([entry_of(1, "train", joules * 100, cpu_seconds=100.0)])
    inner = entry_of(2, "search", joules * 40, cpu_seconds=40.0, within=ledger.entries[0].id)
    ledger.add([inner])
    path = bundle_of("mobile-int8", ledger).save(tmp_path / "kws")
    (lifetime,) = report(path, inferences=1, kernel_sets=["xnnpack"]).lifetimes
    assert lifetime.once is not None and lifetime.once.joules.typical == pytest.approx(400.0)


@pytest.mark.usefixtures("clock")
def test_json_round_trip(int8: Path, plain: Path) -> None:
    found = report([int8, plain], region="FRA", price_cpu_hour=0.05, inferences="1e6")
    assert tg.FootprintReport.from_json(found.to_json()) == found
    assert json.loads(found.to_json())["schema_version"] == 1
    for text in ("{}", "[]", "", "{", found.to_json().replace('"low": ', '"low": 1e99, "x": ')):
        with pytest.raises(InvalidDataError):
            tg.FootprintReport.from_json(text)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"region": "DUE"}, UsageError, "closest: DEU"),
        ({"price_kwh": -0.3}, UsageError, "not negative"),
        ({"inferences": "many"}, UsageError, "number of inferences"),
        ({"watts": "3,2,1"}, UsageError, "rising order"),
        ({"kernel_sets": ["gpu"]}, UnknownNameError, "kernel set of LiteRT"),
        ({"device": Device(latency="1ms")}, UsageError, "give --device-power"),
        ({"device": Device(power="1mW")}, UsageError, "give --device-latency"),
        ({"device": Device(log="x.csv")}, UsageError, "Give --device-runs"),
        ({"device": Device(log="x.csv", runs=1)}, MissingPathError, "no power log"),
        ({"device": Device(log="x.csv", power="1W")}, UsageError, "Give the log alone"),
        ({"device": Device(power="1W", latency="1s", runs=3)}, UsageError, "belongs to a power"),
        ({"device": {"other": Device(power="1W")}}, UnknownNameError, "file 'other'"),
        ({"against": "none.tflite"}, MissingPathError, "none.tflite"),
    ],
)
def test_wrong_input_is_told_before_anything_is_timed(
    int8: Path, given: Any, error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "benchmark_files", lambda *a, **k: pytest.fail("was timed"))
    with pytest.raises(error, match=words):
        report(int8, **given)


def test_one_latency_for_two_files(tmp_path: Path) -> None:
    paths = [bundle_of("microcontroller-int8").save(tmp_path / name) for name in ("a", "b")]
    with pytest.raises(UsageError, match="Say whose it is, as a=181ms"):
        report(paths, device=Device(power="35mW", latency="181ms"))
    with pytest.raises(UsageError, match="No file was given"):
        report([])


@pytest.mark.usefixtures("clock")
def test_command_line(int8: Path, plain: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    options = ["--region", "DEU", "--inferences", "1e9", "--price-kwh", "0.30"]
    told = run(tfgreen_command, ["report", str(int8), "--against", str(plain), *options])
    assert told.exit_code == 0, told.output
    assert "of its energy, modelled" in told.output.replace("\n   ", " ")
    out = tmp_path / "report.json"
    told = run(tfgreen_command, ["report", str(int8), *options, "--json", "-o", str(out), "-q"])
    assert told.exit_code == 0, told.output
    assert tg.FootprintReport.from_json(told.stdout).rates.grid is not None
    assert out.read_text() == told.stdout


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--region", "GER"], 2, "closest: DEU (Germany)"),
        (["--price-kwh", "-1"], 2, "not negative"),
        (["--price-kwh", "cheap"], 2, "not a valid float"),
        (["--device-power", "35"], 2, "with a unit"),
        (["--device-power", "35mW", "--device-power", "40mW"], 2, "given twice"),
        (["--embodied", "300kg"], 2, "Give both"),
        (["--kernels", "gpu"], 2, "'gpu' is not one of"),
    ],
)
def test_command_line_errors(int8: Path, options: list[str], code: int, words: str) -> None:
    told = CliRunner().invoke(tfgreen_command, ["report", str(int8), *options])
    assert told.exit_code == code
    assert words in told.output


def test_the_network_is_never_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *given: tried.append(given))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **named: tried.append(given))
    path = bundle_of("mobile-int8", ledger_of(train=1.0)).save(tmp_path / "kws")
    report(path, region="DEU", kernel_sets=[], device=Device(power="1W", latency="1ms"))
    assert not tried


def test_real_files_are_timed(int8: Path, plain: Path) -> None:
    """On this machine's XNNPACK: a dense layer of 16 to 4 takes below a millisecond."""
    effort = latency.Effort(sessions=1, rounds=5, probes=1, warmup_seconds=0.01)
    found = report(int8, against=plain, kernel_sets=["xnnpack"], effort=effort)
    (cost,) = found.file("int8").inferences
    assert cost.cpu_seconds is not None and 0 < cost.cpu_seconds < 1e-3
    assert cost.ratio is not None and cost.ratio.low <= cost.ratio.typical <= cost.ratio.high
