"""Inspection of a bundle folder; the hash of every file is checked on the way."""

from __future__ import annotations

from pathlib import Path

from tfgreen import manifest as on_disk
from tfgreen.inspection.records import BundleInspection
from tfgreen.inspection.tflite_file import inspect_tflite
from tfgreen.verification.certificate import Certificate


def inspect_bundle(folder: Path) -> BundleInspection:
    """What the manifest, the certificate and the file of a bundle say.

    Raises:
        InvalidModelError: it is no bundle, or one of a newer tfgreen.
        IntegrityError: a file is missing, changed, or not listed.
    """
    manifest = on_disk.read_manifest(folder)
    files = on_disk.read_files(folder, manifest)
    certificate = Certificate.from_json(files[on_disk.CERTIFICATE])
    file = inspect_tflite(files[on_disk.MODEL], str(folder / on_disk.MODEL))
    sizes = {name: len(content) for name, content in sorted(files.items())}
    sizes[on_disk.MANIFEST] = (folder / on_disk.MANIFEST).stat().st_size
    return BundleInspection(
        path=str(folder),
        size_bytes=sum(sizes.values()),
        sha256=file.sha256,
        parameters=file.parameters,
        sparsity=file.sparsity,
        notes=certificate.notes,
        profile=manifest.profile.name,
        target=manifest.profile.target,
        verdict=certificate.verdict,
        failed_checks=tuple(check.message for check in certificate.failed_checks),
        sqnr_db=certificate.sqnr_db,
        agreement=certificate.agreement,
        arena_bytes=certificate.arena_bytes,
        golden_samples=manifest.golden.samples,
        golden_kernel_sets=manifest.golden.kernel_sets,
        labels=manifest.labels,
        calibration=manifest.calibration.source if manifest.calibration else None,
        versions=manifest.versions,
        conversion=dict(manifest.conversion),
        target_facts=dict(certificate.target),
        files=sizes,
        file=file,
    )
