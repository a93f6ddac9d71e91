"""The meter: sources, attribution, children, and that nothing asks the network."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.footprint.powercap_tree import PowercapTree, refuse_energy, write_machine_time
from tfgreen.errors import MissingDependencyError, UnknownNameError, UsageError
from tfgreen.footprint import codecarbon
from tfgreen.footprint import meter as meter_module
from tfgreen.footprint.attribution import share_of
from tfgreen.footprint.counters import PassedOver
from tfgreen.footprint.cpu_time import MachineTime, own_cpu_seconds
from tfgreen.footprint.meter import Meter
from tfgreen.footprint.sources import find_sources
from tfgreen.wording import share_text

NOWHERE = Path("/nonexistent")
BURN = "import time\nwhile time.process_time() < {}: pass"


def burn(cpu_seconds: float) -> None:
    end = time.process_time() + cpu_seconds
    while time.process_time() < end:
        pass


@pytest.fixture
def tree(tmp_path: Path) -> PowercapTree:
    return PowercapTree(tmp_path / "powercap")


def test_a_fake_tree_is_measured_to_one_percent(tree: PowercapTree) -> None:
    with Meter(powercap=tree.root, scope="machine") as meter:
        for _ in range(10):
            tree.spend(250.0)  # wraps around two and a half times
            assert meter.reading.method == "measured"
    reading = meter.reading
    assert reading.source == "RAPL"
    assert reading.joules.typical == pytest.approx(2500.0, rel=0.01)
    assert reading.joules.is_exact


def test_a_long_stretch_is_looked_at_before_it_wraps_twice(tmp_path: Path) -> None:
    """The range lasts 20 ms at 1 kW: only the watching thread sees every turn of it."""
    tree = PowercapTree(tmp_path / "powercap", range_uj=20_000_000)
    with Meter(powercap=tree.root, scope="machine") as meter:
        for _ in range(30):
            tree.spend(5.0)
            time.sleep(0.02)
    assert meter.reading.joules.typical == pytest.approx(150.0, rel=0.01)


def test_a_process_is_attributed_its_share(tree: PowercapTree, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    write_machine_time(proc, 1000.0)
    with Meter(powercap=tree.root, proc=proc) as meter:
        burn(0.2)
        tree.spend(100.0)
        write_machine_time(proc, 1000.0 + 0.3)
    reading = meter.reading
    share = reading.cpu_seconds / 0.3  # two processors could have worked 0.4 s or more
    assert reading.joules.typical == pytest.approx(100.0 * share, rel=0.01)
    assert 0 < reading.joules.low <= reading.joules.typical < reading.joules.high
    assert reading.joules.high == pytest.approx(100.0)
    assert f"{share_text(share)} is attributed to this process" in reading.parts[0].how


def test_without_the_machine_s_time_the_share_is_of_the_capacity(
    tree: PowercapTree,
) -> None:
    with Meter(powercap=tree.root, proc=NOWHERE) as meter:
        burn(0.05)
        tree.spend(100.0)
    part = meter.reading.parts[0]
    assert part.joules.typical == part.joules.low
    assert "could have worked" in part.how


def test_shares_stay_in_order_when_the_system_s_clock_is_coarse() -> None:
    """Own time that the machine's ticks have not seen yet makes no share above one."""
    share = share_of(0.0, 0.5, MachineTime(10.0, 0.0), MachineTime(10.0, 0.4))
    assert (share.low, share.typical) == (1.0, 1.0)
    assert share_of(1.0, 1.0, MachineTime(1.0, 1.0), MachineTime(1.0, 1.0)).typical == 0.0


def test_without_a_source_it_is_modelled_with_a_range() -> None:
    with Meter(powercap=NOWHERE) as meter:
        burn(0.1)
    reading = meter.reading
    assert (reading.method, reading.source) == ("modelled", "model")
    assert reading.joules.typical == pytest.approx(4.0 * reading.cpu_seconds)
    assert reading.joules.low == pytest.approx(0.9 * reading.cpu_seconds)
    assert reading.joules.high == pytest.approx(9.1 * reading.cpu_seconds)
    for text in (str(reading), reading.sentence(), reading.parts[0].how):
        assert "modelled" in text and " to " in text
    assert any("memory" in what for what in reading.leaves_out)


def test_a_modelled_reading_tells_why_nothing_was_measured(
    tree: PowercapTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_energy(monkeypatch)
    with Meter(powercap=tree.root) as meter:
        pass
    assert meter.reading.method == "modelled"
    assert "Not used: RAPL: " in str(meter.reading) and "chmod a+r" in str(meter.reading)
    assert "GPUs and other accelerators" in meter.reading.leaves_out


def test_a_counter_that_stops_answering_does_not_cost_the_stretch(tree: PowercapTree) -> None:
    with Meter(powercap=tree.root, scope="machine") as meter:
        tree.spend(10.0)
        burn(0.05)
        (tree.root / "intel-rapl:0" / "energy_uj").unlink()
    reading = meter.reading
    assert (reading.method, reading.source) == ("modelled", "model")
    assert reading.joules.typical == pytest.approx(4.0 * reading.cpu_seconds)
    assert any("RAPL: it stopped answering" in why for why in reading.passed_over)
    assert not meter.is_running


def test_a_counter_that_begins_anew_is_not_believed(nvml: FakeNvml) -> None:
    """A driver that was loaded again counts from 0: no energy is negative."""
    with Meter("nvml") as meter:
        nvml.millijoules[1] = 10
    assert meter.reading.method == "modelled"
    assert any("began anew" in why for why in meter.reading.passed_over)


def test_children_that_nobody_tells_of_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "COUNTS_CHILDREN", False)
    with Meter("model") as meter:
        pass
    assert any("child processes" in what for what in meter.reading.leaves_out)


def test_a_reason_is_one_plain_line() -> None:
    reason = f"it says\n\x1b[31m  {'no ' * 500}"
    assert str(PassedOver("codecarbon", reason)).isprintable()
    assert len(str(PassedOver("codecarbon", reason))) <= 300


def test_own_watts() -> None:
    with Meter("model", watts=(2, 3, 5)) as meter:
        burn(0.05)
    assert meter.reading.joules.high / meter.reading.joules.low == pytest.approx(2.5)


@pytest.mark.parametrize("watts", [(3, 2, 1), (0, 1, 2), "1,2", "1,x,3", (1, float("nan"), 2), -1])
def test_watts_that_are_no_range(watts: object) -> None:
    with pytest.raises(UsageError, match="expected low,typical,high"):
        Meter("model", watts=watts)  # type: ignore[arg-type]


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="range of watts 'sever'.*'server'"):
        Meter(watts="sever")
    with pytest.raises(UnknownNameError, match="scope of a meter"):
        Meter(scope="planet")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="source of energy"):
        Meter("sun").start()  # type: ignore[arg-type]


def test_a_source_that_was_asked_for_and_is_not_there() -> None:
    with pytest.raises(MissingDependencyError, match="RAPL cannot be used: there are no counters"):
        Meter("rapl", powercap=NOWHERE).start()


def test_order_of_calls() -> None:
    meter = Meter("model")
    with pytest.raises(UsageError, match="not started"):
        _ = meter.reading
    with pytest.raises(UsageError, match="does not run"):
        meter.stop()
    meter.start()
    with pytest.raises(UsageError, match="runs already"):
        meter.start()
    meter.stop()
    first = meter.reading
    with meter:
        burn(0.02)
    assert meter.reading is not first


def test_an_exception_passes_and_the_reading_stays() -> None:
    meter = Meter("model")
    with pytest.raises(KeyError), meter:
        burn(0.02)
        raise KeyError("of the caller")
    assert meter.reading.cpu_seconds >= 0.02


def test_children_count_while_they_run_and_after() -> None:
    with Meter("model") as meter:
        subprocess.run([sys.executable, "-c", BURN.format(0.3)], check=True)
        after_one = meter.reading.cpu_seconds
        with subprocess.Popen([sys.executable, "-c", BURN.format(0.3) + "\ninput()"],
                              stdin=subprocess.PIPE) as child:  # fmt: skip
            end = time.monotonic() + 20
            while meter.reading.cpu_seconds < after_one + 0.28 and time.monotonic() < end:
                time.sleep(0.02)
            running = meter.reading.cpu_seconds
            child.communicate(b"\n")
    assert after_one >= 0.3
    assert running >= after_one + 0.28
    assert running - 0.03 <= meter.reading.cpu_seconds < running + 0.3  # and not twice


def test_a_child_from_before_counts_for_its_time_inside_only() -> None:
    command = [sys.executable, "-c", BURN.format(0.4) + "\ninput()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        start = own_cpu_seconds()
        end = time.monotonic() + 20
        while own_cpu_seconds() < start + 0.35 and time.monotonic() < end:
            time.sleep(0.02)
        with Meter("model") as meter:
            child.communicate(b"\n")
    assert meter.reading.cpu_seconds < 0.3


class FakeNvml(types.ModuleType):
    """As much of nvidia-ml-py as the meter uses: two GPUs."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.millijoules = {0: 1_000_000, 1: 5_000_000}
        self.is_open = False

    def nvmlInit(self) -> None:  # noqa: N802
        self.is_open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index not in self.millijoules:
            raise self.NVMLError("Invalid Argument")
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        return self.millijoules[handle]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    library = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    return library


def test_gpus_stand_beside_the_processor(nvml: FakeNvml, tree: PowercapTree) -> None:
    with Meter(powercap=tree.root, scope="machine") as meter:
        tree.spend(10.0)
        nvml.millijoules[0] += 30_000
        nvml.millijoules[1] += 12_000
    reading = meter.reading
    assert reading.source == "RAPL + NVML"
    assert reading.method == "measured"
    assert reading.joules.typical == pytest.approx(52.0)
    assert not nvml.is_open


def test_a_measured_gpu_and_a_modelled_processor_are_modelled_together(nvml: FakeNvml) -> None:
    with Meter(powercap=NOWHERE) as meter:
        nvml.millijoules[0] += 30_000
    assert meter.reading.source == "NVML + model"
    assert meter.reading.method == "modelled"


def test_gpus_that_stop_answering(nvml: FakeNvml) -> None:
    with Meter("nvml") as meter:
        nvml.millijoules.clear()
        nvml.nvmlDeviceGetTotalEnergyConsumption = nvml.nvmlDeviceGetHandleByIndex  # type: ignore[method-assign]
    assert (meter.reading.method, meter.reading.source) == ("modelled", "model")
    assert any("NVML" in why for why in meter.reading.passed_over)


def test_hidden_gpus_are_left_alone(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with Meter("nvml") as meter:
        nvml.millijoules[0] += 99_000
        nvml.millijoules[1] += 4_000
    assert meter.reading.joules.typical == pytest.approx(4.0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(MissingDependencyError, match="Invalid Argument"):
        Meter("nvml").start()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(MissingDependencyError, match="hides every GPU"):
        Meter("nvml").start()


class CPU:
    """As codecarbon calls its processor."""

    def __init__(self, mode: str) -> None:
        self._mode = mode


@pytest.fixture
def fake_codecarbon(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """A codecarbon whose processor draws 36 J between any two looks."""

    class Tracker:
        mode = "windows_emi"
        given: dict[str, object] = {}

        def __init__(self, **given: object) -> None:
            Tracker.given = given
            self._hardware = [CPU(Tracker.mode)]
            self._total_cpu_energy = types.SimpleNamespace(kWh=0.0)

        def start(self) -> None: ...

        def flush(self) -> None:
            self._total_cpu_energy.kWh += 36.0 / 3.6e6

        def stop(self) -> None: ...

    module = types.ModuleType("codecarbon")
    module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    module.OfflineEmissionsTracker = Tracker  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "codecarbon", module)
    monkeypatch.setattr(codecarbon, "_is_raspberry", lambda: True)
    codecarbon._reason_against.cache_clear()
    yield Tracker
    codecarbon._reason_against.cache_clear()


def test_codecarbon_s_meter_is_used_where_there_is_no_rapl(fake_codecarbon: type) -> None:
    with Meter(powercap=NOWHERE, scope="machine") as meter:
        pass
    assert (meter.reading.source, meter.reading.method) == ("codecarbon", "measured")
    assert meter.reading.joules.typical == pytest.approx(36.0)
    assert "windows_emi" in meter.reading.parts[0].how


def test_codecarbon_is_switched_off_line(fake_codecarbon: type) -> None:
    find_sources("codecarbon")
    given = fake_codecarbon.given  # type: ignore[attr-defined]
    assert given["output_methods"] == [] and given["output_handlers"] == []
    assert given["emissions_endpoint"] is None and given["electricitymaps_api_token"] is None


def test_codecarbon_s_guess_is_no_measurement(fake_codecarbon: type) -> None:
    fake_codecarbon.mode = "cpu_load"  # type: ignore[attr-defined]
    with Meter(powercap=NOWHERE) as meter:
        pass
    assert (meter.reading.source, meter.reading.method) == ("model", "modelled")
    with pytest.raises(MissingDependencyError, match="would only guess"):
        Meter("codecarbon").start()


def test_nothing_is_asked_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def refuse(*args: object, **kwargs: object) -> None:
        tried.append(args)
        raise OSError("the network is cut off")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "sendto", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(codecarbon, "_is_raspberry", lambda: True)  # a codecarbon here is asked
    codecarbon._reason_against.cache_clear()
    with Meter(powercap=NOWHERE) as meter:
        burn(0.01)
    codecarbon._reason_against.cache_clear()
    assert meter.reading.method == "modelled"
    assert not tried


def test_reasons_are_told_for_what_was_passed_over() -> None:
    found = find_sources(powercap=NOWHERE)
    assert [one.source for one in found.passed_over] == ["RAPL", "NVML", "codecarbon"]
    assert all(one.reason for one in found.passed_over)
    assert not found.counters
    assert meter_module.Meter("model").is_running is False
