"""`tfgreen export-decoder`: a decoder language model in, a judged file with its tokenizer out."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tfgreen.cli import options
from tfgreen.cli.printing import print_renderable
from tfgreen.cli.verb import GATE_FAILED, Verb
from tfgreen.reporting.progress import progress


@click.command("export-decoder", cls=Verb, short_help="Export a language model with a cache.")
@click.argument("model", type=options.MODEL_OR_DATA)
@click.option("--tokenizer", type=options.EXISTING, metavar="FILE", help=".json, .spm or .model")
@click.option("--evaluate", type=options.EXISTING, metavar="TEXT", help="Text that judges it.")
@click.option("--calibration", type=options.EXISTING, metavar="TEXT", help="For 4-bit weights.")
@click.option("--scheme", default="dynamic-int8", show_default=True, help="How weights are stored.")
@click.option("--context", type=click.IntRange(min=2), help="Tokens that the cache holds.")
@click.option("--prefill", type=click.IntRange(min=2), multiple=True, help="Tokens of one call.")
@click.option("--keep-state", is_flag=True, help="The cache lives in the file's variables.")
@options.loading
@options.bundle
@options.printing
def export_decoder(
    model: str,
    tokenizer: str | None,
    evaluate: str | None,
    calibration: str | None,
    scheme: str,
    context: int | None,
    prefill: tuple[int, ...],
    keep_state: bool,
    custom_objects: str | None,
    allow_unsafe: bool,
    output: str,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Export MODEL, a .keras file of a decoder, to one .tflite file, and judge it on text.

    Schemes: float32, float16, dynamic-int8, weights-int8, int4, int4-block32, mixed-int4-int8.

    \b
    Examples:
      tfgreen export-decoder docs.keras --tokenizer tokenizer.json --evaluate held.txt \\
          -o build/docs/
      tfgreen export-decoder docs.keras --tokenizer tokenizer.json --scheme int4 \\
          --calibration train.txt --evaluate held.txt -o build/docs/

    Exit code 3: a gate failed; the output is written all the same, with the verdict in it.
    """
    from tfgreen.generative.decoder_bundle import check_folder
    from tfgreen.generative.export import make_decoder_bundle
    from tfgreen.generative.requests import DecoderOptions
    from tfgreen.generative.schemes import known_scheme
    from tfgreen.reporting.decoder_text import render_decoder

    check_folder(Path(output), force=force)
    chosen = DecoderOptions(
        scheme=known_scheme(scheme),
        context=context,
        prefill_lengths=prefill or None,
        keeps_state=keep_state,
        custom_objects=custom_objects,
        allow_unsafe=allow_unsafe,
    )
    judged, rounded = (None if text is None else Path(text) for text in (evaluate, calibration))
    with progress(quiet=quiet) as on_progress:
        bundle = make_decoder_bundle(model, tokenizer, judged, rounded, chosen, on_progress)
        bundle.save(output, force=force)
    if as_json:
        document = {"output": output, "certificate": bundle.certificate.model_dump(mode="json")}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print_renderable(render_decoder(bundle, detailed=not quiet))
        click.echo(f"Written: {output}")
    if not bundle.certificate.passed:
        raise click.exceptions.Exit(GATE_FAILED)
