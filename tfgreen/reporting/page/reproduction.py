"""The commands that make a bundle again, and what was left out of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tfgreen.errors import TfgreenError
from tfgreen.manifest import sha256
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.recipe.record import CompressionRecord
from tfgreen.reporting.page.baseline import baseline_of
from tfgreen.reporting.page.record import Reproduction, Skipped

if TYPE_CHECKING:
    from tfgreen.bundle import Bundle

_PART = re.compile(r"(.+) \(\d+ of \d+ samples, evenly spaced\)")
_OF_COMPRESS = ("samples", "custom_objects", "allow_unsafe")
_DEFAULTS = {"samples": 64, "encoding": "auto"}
_MODEL, _DATA, _BUNDLE = "MODEL", "DATA", "BUNDLE/"


def reproduction_of(bundle: Bundle) -> Reproduction:
    """The commands, with placeholders in capitals where a name is not known."""
    model = bundle.facts.get("model")
    digest = model.get("sha256") if isinstance(model, Mapping) else None
    if bundle.compression is not None:
        digest = bundle.compression.model_sha256
    return Reproduction(
        commands=tuple(_commands(bundle)),
        versions=dict(bundle.versions),
        model_sha256=digest if isinstance(digest, str) else None,
        file_sha256=sha256(bundle.content),
    )


def _commands(bundle: Bundle) -> Iterator[str]:
    version = bundle.versions.get("tfgreen")
    if version:
        yield f"pip install 'tfgreen[all]=={version}'"
    yield shlex.join(_command(bundle))
    yield f"tfgreen verify {_BUNDLE}"
    yield f"tfgreen report {_BUNDLE} --html report.html"


def _command(bundle: Bundle) -> list[str]:
    """`tfgreen export`, or `tfgreen compress` where a recipe was run."""
    request = bundle.facts.get("request")
    request = dict(request) if isinstance(request, Mapping) else {}
    model = str(request.pop("model", None) or _MODEL)
    request.pop("name", None)
    command, overrides = ["tfgreen", "export", model], [*_overrides(bundle.profile)]
    if bundle.compression is not None:
        command = _compress(bundle.compression, bundle.calibration_source)
        request = {name: request.get(name) for name in _OF_COMPRESS}
        overrides = []  # a profile of one's own holds them there
    command += ["--profile", bundle.profile.name, *overrides]
    if bundle.calibration_sha256 is not None and not _taken_from(bundle.calibration_source):
        command += ["--calibration", _source(bundle.calibration_source)]
    if bundle.evaluation_sha256 is not None:
        command += ["--evaluate", _source(bundle.evaluation_source)]
    for name, value in request.items():
        command += _option(str(name), value)
    return [*command, "-o", _BUNDLE]


def _compress(record: CompressionRecord, calibration_source: str | None) -> list[str]:
    """Without the model's path: what was exported is what training left, in a folder of its own."""
    train = _taken_from(calibration_source) or _DATA
    command = ["tfgreen", "compress", _MODEL, "--recipe", record.recipe_name, "--train", train]
    command += _option("seed", record.seed or None)
    return [*command, *_option("strategy", record.strategy)]


def _taken_from(source: str | None) -> str | None:
    """The training data that the calibration samples are a part of; None for data of their own."""
    found = _PART.fullmatch(source or "")
    return _source(found[1]) if found else None


def _source(source: str | None) -> str:
    """A path as it is; what came as an array has none."""
    return _DATA if source is None or source == "arrays" or source.startswith("the ") else source


def _option(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is None or value is False or _DEFAULTS.get(name) == value:
        return []
    return [flag] if value is True else [flag, str(value)]


def _overrides(profile: ExportProfile) -> Iterator[str]:
    """The options that turned the bundled profile into this one."""
    try:
        bundled = load_profile(profile.name)
    except TfgreenError:
        return
    for flag, here, there in (
        ("--arena", profile.budgets.arena_bytes, bundled.budgets.arena_bytes),
        ("--flash", profile.budgets.file_bytes, bundled.budgets.file_bytes),
        ("--batch", profile.batch, bundled.batch),
        (
            "--io",
            f"{profile.input_type}:{profile.output_type}",
            f"{bundled.input_type}:{bundled.output_type}",
        ),
    ):
        if here != there and here is not None:
            yield from (flag, str(here))


def skipped_of(bundle: Bundle, *, has_cost: bool) -> Iterator[Skipped]:
    """Whatever was not judged, not measured or not touched, each with the reason."""
    certificate = bundle.certificate
    for check in certificate.checks:
        if check.status == "skipped":
            yield Skipped(what=f"{check.gate}: {check.name}", why=check.message)
    for name, facts in certificate.kernel_sets.items():
        if not facts.available:
            yield Skipped(what=f"kernels {name}", why=facts.reason or "They are not installed.")
    if not certificate.metrics:
        yield Skipped(what="accuracy", why="No labelled samples were given (--evaluate).")
    if bundle.compression is not None:
        for stage in bundle.compression.stages:
            for one in stage.skipped:
                what = f"{one.technique} of {one.kind} '{one.layer}' in stage {stage.name}"
                yield Skipped(what=what, why=one.reason)
    if not baseline_of(bundle).sizes:
        yield Skipped(what="sizes before", why="The bundle does not tell of the float file.")
    if not has_cost:
        yield Skipped(
            what="latency, joules and grams of an inference",
            why="Nothing is timed while exporting; `tfgreen report BUNDLE --region DEU --html "
            "report.html` measures it and adds it to this page.",
        )
    if bundle.ledger is None:
        yield Skipped(what="energy of making it", why="The bundle keeps no ledger.")
