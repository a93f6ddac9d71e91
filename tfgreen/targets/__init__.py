"""What a target wants to know beyond the four gates: does it fit, and what is there to compile?

`examine` looks at a file for the profile that it was made for. Microcontrollers and NPUs get
more checks in the structure gate, facts in the certificate, and files in the bundle; for every
other target the report is empty. TensorFlow is never loaded.
"""

from __future__ import annotations

from tfgreen.golden import Golden
from tfgreen.profile import ExportProfile
from tfgreen.targets.coral import check_edgetpu, coral_report
from tfgreen.targets.ethos_u import compile_for_npu, npu_report
from tfgreen.targets.microcontroller import (
    host_processor_report,
    microcontroller_report,
    report_sources,
)
from tfgreen.targets.report import TargetReport
from tfgreen.verification import Certificate

__all__ = ["TargetReport", "examine"]


def examine(
    content: bytes,
    profile: ExportProfile,
    certificate: Certificate,
    *,
    golden: Golden | None = None,
    name: str = "model",
    with_files: bool = True,
) -> TargetReport:
    """What there is to say about a file on its target, beyond what the four gates found.

    Args:
        content: The file, as it is shipped.
        profile: Its target.
        certificate: What `certify` found out about the file; it holds the measured arena.
        golden: Samples for the sources' test; None or an empty one: no test.
        name: What sources call the model.
        with_files: Also render the files for the bundle, which a second look does not need.

    Returns:
        The report; `report.on(certificate)` is the certificate with all of it.
    """
    if profile.kernel_sets.truth == "micro":
        found = microcontroller_report(content, profile, certificate)
        if not with_files:
            return found
        needed_bytes = certificate.arena_to_load_bytes or certificate.arena_bytes
        return found + report_sources(
            content, profile, golden or Golden(), name, arena_bytes=needed_bytes
        )
    report = TargetReport()
    if profile.vela is not None:
        compiled = compile_for_npu(content, profile)
        report += npu_report(compiled, profile)
        if compiled.content:
            wanted = (golden or Golden()) if with_files else None
            report += host_processor_report(compiled.content, profile, wanted, name)
    if profile.edgetpu_rules:
        report += coral_report(check_edgetpu(content))
    return report
