"""Which kernel sets judge a file on this machine, and in which part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile
from tfgreen.reference import Rounding
from tfgreen.runtimes import Availability, availability
from tfgreen.verification.certificate import Check, Gate, KernelSetFacts
from tfgreen.verification.known_bad import known_bad
from tfgreen.verification.oracle import ORACLE, rounding_of

STAND_IN = "reference"
"""Judges in place of a truth that is not installed: the micro kernels were made from it."""


def truth_here(truth: str) -> str:
    """The truth, or what stands in for it where it is not installed."""
    return truth if availability(truth).available else STAND_IN


@dataclass(frozen=True)
class Lineup:
    """The kernel sets of a profile as they are found on this machine.

    Attributes:
        profile_truth: The truth that the profile names.
        truth: The one that judges: the same, or `reference` standing in for it.
        compared: The others that can run.
        facts: Every kernel set concerned, the truth first.
        oracle: What every op is held against, where the profile's activations are integers.
    """

    profile_truth: str
    truth: str
    compared: tuple[str, ...]
    facts: dict[str, KernelSetFacts]
    oracle: str | None = None

    @classmethod
    def of(cls, profile: ExportProfile) -> Lineup:
        """Ask every kernel set of the profile whether it is installed."""
        named = profile.kernel_sets.runs
        found = {name: availability(name) for name in named}
        truth = named[0] if found[named[0]].available else STAND_IN
        found.setdefault(truth, availability(truth))
        compared = tuple(name for name in named[1:] if name != truth and found[name].available)
        oracle = ORACLE if profile.needs_calibration else None
        if oracle is not None:
            found.setdefault(oracle, availability(oracle))
        facts = {name: _facts(name, found[name], profile, truth) for name in found}
        return cls(named[0], truth, compared, facts, oracle)

    @property
    def runs(self) -> tuple[str, ...]:
        """Every kernel set that runs the whole file, the truth first."""
        return (self.truth, *self.compared)

    @property
    def judged(self) -> tuple[str, ...]:
        """Every kernel set that runs each op: these and the oracle."""
        oracle = () if self.oracle is None else (self.oracle,)
        return tuple(dict.fromkeys((*self.runs, *oracle)))

    @property
    def is_oracle_apart(self) -> bool:
        """Whether the oracle is none of the profile's own kernel sets."""
        return self.oracle is not None and self.oracle not in self.runs

    @property
    def rounding(self) -> Rounding:
        """That of the NumPy interpreter: as the truth rounds."""
        return rounding_of(self.profile_truth)

    def capture_set(self, model: TfliteModel) -> str:
        """The kernel set whose intermediates every other one is fed.

        The truth where it can show them, else the reference kernels; the optimized ones where
        the reference is known to compute one of the file's ops wrongly.
        """
        if self.truth in ("reference", "optimized", ORACLE):
            return self.truth
        wrong = any(known_bad("reference", model, op) for op in model.ops)
        return "optimized" if wrong else "reference"

    def checks(self, gate: Gate) -> Iterator[Check]:
        """What is missing: a warning if it is the truth, a skipped check else."""
        for name, facts in self.facts.items():
            if facts.available:
                continue
            status, text = "skipped", f"The kernel set '{name}' did not run: {facts.reason}"
            if name == self.profile_truth:
                status = "warning"
                text = (
                    f"'{self.truth}' stands in for the profile's truth '{name}', which is "
                    f"missing: {facts.reason}"
                )
            yield Check.model_validate(
                {
                    "gate": gate,
                    "name": "kernel-set-missing",
                    "status": status,
                    "message": text if text.endswith(".") else f"{text}.",
                    "kernel_set": name,
                }
            )


def _facts(name: str, found: Availability, profile: ExportProfile, truth: str) -> KernelSetFacts:
    role = "truth" if name == profile.kernel_sets.truth else "compared"
    if name not in profile.kernel_sets.runs:
        role = "stand-in" if name == truth else "oracle"
    elif name == truth and role == "compared":
        role = "stand-in"
    return KernelSetFacts.model_validate(
        {
            "role": role,
            "available": found.available,
            "version": found.version,
            "reason": "" if found.available else found.reason,
        }
    )
