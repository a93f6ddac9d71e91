"""An exported decoder for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfgreen.wording import share_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tfgreen.generative.decoder_bundle import DecoderBundle

_COLOURS = {"passed": "green", "failed": "red", "warning": "yellow", "skipped": "dim"}


def render_decoder(bundle: DecoderBundle, *, detailed: bool) -> RenderableType:
    """The verdict, and with `detailed` every check with its sentence."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    certificate = bundle.certificate
    facts = certificate.perplexity
    colour = _COLOURS[certificate.verdict]
    verdict = Text.assemble(
        (certificate.verdict.upper(), f"bold {colour}"),
        f": {certificate.scheme}, {certificate.file_bytes:,} bytes, perplexity {facts.file:.4f} "
        f"({share_text(facts.change, 2, signed=True)} against the float model)",
    )
    if not detailed:
        return verdict
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in certificate.checks:
        table.add_row(check.gate, Text(check.status, _COLOURS[check.status]), check.message)
    return Group(table, verdict)
