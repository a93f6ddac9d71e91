"""Which kernel sets judge a file on this machine, and in which part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile
from tfgreen.runtimes import Availability, availability
from tfgreen.verification.certificate import Check, Gate, KernelSetFacts
from tfgreen.verification.known_bad import known_bad

STAND_IN = "reference"
"""Judges in place of a truth that is not installed: the micro kernels were made from it."""


@dataclass(frozen=True)
class Lineup:
    """The kernel sets of a profile as they are found on this machine.

    Attributes:
        profile_truth: The truth that the profile names.
        truth: The one that judges: the same, or `reference` standing in for it.
        compared: The others that can run.
        facts: Every kernel set concerned, the truth first.
    """

    profile_truth: str
    truth: str
    compared: tuple[str, ...]
    facts: dict[str, KernelSetFacts]

    @classmethod
    def of(cls, profile: ExportProfile) -> Lineup:
        """Ask every kernel set of the profile whether it is installed."""
        named = profile.kernel_sets.runs
        found = {name: availability(name) for name in named}
        truth = named[0] if found[named[0]].available else STAND_IN
        found.setdefault(truth, availability(truth))
        compared = tuple(name for name in named[1:] if name != truth and found[name].available)
        facts = {name: _facts(name, found[name], named[0], truth) for name in found}
        return cls(named[0], truth, compared, facts)

    @property
    def runs(self) -> tuple[str, ...]:
        """Every kernel set that runs, the truth first."""
        return (self.truth, *self.compared)

    def capture_set(self, model: TfliteModel) -> str:
        """The kernel set whose intermediates every other one is fed.

        The truth where it can show them, else the reference kernels; the optimized ones where
        the reference is known to compute one of the file's ops wrongly.
        """
        if self.truth in ("reference", "optimized"):
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


def _facts(name: str, found: Availability, profile_truth: str, truth: str) -> KernelSetFacts:
    role = "truth" if name == profile_truth else "compared"
    if name == truth and name != profile_truth:
        role = "stand-in"
    return KernelSetFacts.model_validate(
        {
            "role": role,
            "available": found.available,
            "version": found.version,
            "reason": "" if found.available else found.reason,
        }
    )
