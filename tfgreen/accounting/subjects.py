"""The files to account for: bundles with what they tell about themselves, and files alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tfgreen import manifest
from tfgreen.benchmarking.files import TimedFile, read_files
from tfgreen.bundle import FILE_SUFFIX, Bundle
from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.footprint.device import DeviceCost, from_log, from_power
from tfgreen.footprint.ledger import Ledger
from tfgreen.footprint.units import parse_count, parse_seconds, parse_volts, parse_watts
from tfgreen.pipeline import float_file
from tfgreen.profile import ExportProfile
from tfgreen.tflite import ConversionOptions

# Kernel sets that are what an app on a computer or a phone runs.
_HOST_TRUTHS = {"xnnpack", "optimized"}


@dataclass(frozen=True)
class Device:
    """What is known of the device that a file runs on.

    power: in use, as "35mW", or "30mW,35mW,50mW" with bounds. latency: of one inference, as
    "181ms"; Vela's estimate by default. log: CSV of a power meter, instead of the two. runs:
    inferences in it. voltage: of the supply, as "3.3V", for logs of current alone.
    """

    power: str | float | None = None
    latency: str | float | None = None
    log: str | Path | None = None
    runs: str | float | None = None
    voltage: str | float | None = None

    def cost(self, vela_seconds: float | None) -> DeviceCost:
        """One inference. Raises UsageError where something is missing or too much."""
        if self.log is not None:
            if self.power is not None or self.latency is not None:
                raise UsageError(
                    "A power log was given, and a power or a latency too. Give the log alone."
                )
            if self.runs is None:
                raise UsageError(
                    "How many inferences does the power log hold? Give --device-runs 100."
                )
            volts = None if self.voltage is None else parse_volts(self.voltage)
            return from_log(self.log, parse_count(self.runs), volts=volts)
        if self.runs is not None or self.voltage is not None:
            raise UsageError("A voltage or a number of runs belongs to a power log: --device-log.")
        if self.power is None:
            raise UsageError("A latency alone is no energy: give --device-power, as 35mW.")
        watts = parse_watts(self.power)
        if self.latency is not None:
            return from_power(watts, parse_seconds(self.latency))
        if vela_seconds is None:
            raise UsageError(
                "A power alone is no energy: give --device-latency, as 181ms. Only bundles that "
                "Vela compiled bring an estimate of their own."
            )
        return from_power(watts, vela_seconds, latency="Vela-estimated")


def device_options(
    given: Mapping[str, Sequence[tuple[str | None, str]]],
) -> Device | dict[str, Device] | None:
    """Devices from options, each a list of (name of the file or None for all, value).

    Raises UsageError for one that was given twice.

    >>> device_options({"power": [(None, "35mW")], "latency": [("kws", "181ms")]})["kws"].latency
    '181ms'
    """
    for option, pairs in given.items():
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            raise UsageError(
                f"The {option} of a device was given twice. Give it once for each file, as "
                f"--device-{option} NAME=VALUE."
            )
    shared = {option: value for option, pairs in given.items() for name, value in pairs if not name}
    files = dict.fromkeys(name for pairs in given.values() for name, _ in pairs if name)
    if not files:
        return Device(**shared) if shared else None
    return {
        file: Device(
            **shared
            | {option: value for option, pairs in given.items() for n, value in pairs if n == file}
        )
        for file in files
    }


@dataclass(frozen=True)
class Subject:
    """One file under the name that the report shows."""

    file: TimedFile
    profile: ExportProfile | None = None
    ledger: Ledger | None = None
    vela_cycles: int | None = None
    vela_seconds: float | None = None
    device: Device = field(default_factory=Device)

    @property
    def name(self) -> str:
        """As in tables."""
        return self.file.name

    @property
    def runs_on_hosts(self) -> bool:
        """Whether the processor time of a computer says anything about where it will run."""
        return self.profile is None or self.profile.kernel_sets.truth in _HOST_TRUTHS


def read_subjects(
    paths: Sequence[str | Path], device: Device | Mapping[str, Device] | None = None
) -> list[Subject]:
    """Bundles and `.tflite` files, each with its device.

    Raises what reading them raises, UsageError for one device of several files, and
    UnknownNameError for a device of a file that is not there.
    """
    files = read_files(paths)
    subjects = [_subject(file, Path(path)) for file, path in zip(files, paths, strict=True)]
    if device is None:
        return subjects
    if isinstance(device, Device):
        if len(subjects) > 1 and (device.latency is not None or device.log is not None):
            names = ", ".join(subject.name for subject in subjects)
            raise UsageError(
                f"One latency or power log was given for {len(subjects)} files. Say whose it is, "
                f"as {subjects[0].name}=181ms; the files are: {names}."
            )
        return [replace(subject, device=device) for subject in subjects]
    for name in device:
        if name not in {subject.name for subject in subjects}:
            raise UnknownNameError("file", name, [subject.name for subject in subjects])
    return [replace(one, device=device.get(one.name, Device())) for one in subjects]


def read_baseline(model: str | Path) -> Subject:
    """The file that others are compared with; of a Keras model, its float file is made."""
    place = Path(model)
    if str(model).lower().endswith(FILE_SUFFIX) or manifest.is_bundle(place):
        (subject,) = read_subjects([model])
        return subject
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        content = float_file(str(model), Path(folder), ConversionOptions())
    return Subject(TimedFile(f"{place.stem} (float)", content))


def _subject(file: TimedFile, place: Path) -> Subject:
    if not place.is_dir():
        return Subject(file)
    bundle = Bundle.read(place)
    ledger = None
    if bundle.ledger is not None:
        ledger = Ledger()
        ledger.add(bundle.ledger)
    npu = bundle.certificate.target.get("npu", {})
    facts = npu if isinstance(npu, Mapping) else {}
    cycles, seconds = facts.get("cycles"), facts.get("inference_seconds")
    return Subject(
        file,
        profile=bundle.profile,
        ledger=ledger,
        vela_cycles=cycles if isinstance(cycles, int) and cycles > 0 else None,
        vela_seconds=seconds if isinstance(seconds, float) and seconds > 0 else None,
    )
