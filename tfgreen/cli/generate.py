"""`tfgreen generate`: text from an exported decoder."""

from __future__ import annotations

import json

import click

from tfgreen.cli import options
from tfgreen.cli.verb import Verb


@click.command(cls=Verb, short_help="Generate text with an exported decoder.")
@click.argument("bundle", type=options.EXISTING)
@click.option("--prompt", required=True, metavar="TEXT", help="What the text begins with.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Default: what the cache holds.")
@click.option("--temperature", type=float, default=0.0, show_default=True, help="0: the likeliest.")
@click.option("--top-k", type=click.IntRange(min=1), help="Only the k likeliest tokens.")
@click.option("--top-p", type=float, help="Only the likeliest with this probability together.")
@click.option("--seed", type=int, help="The same seed gives the same text.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@options.as_json
@options.talk
def generate(
    bundle: str,
    prompt: str,
    max_tokens: int | None,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int | None,
    threads: int,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Continue a prompt with BUNDLE, a folder that `tfgreen export-decoder` wrote.

    The text is printed as it is made; then tokens a second and the time to the first token.

    \b
    Examples:
      tfgreen generate build/docs/ --prompt "Return the "
      tfgreen generate build/docs/ --prompt "Return the " --temperature 0.8 --top-p 0.9 --seed 1
    """
    from tfgreen.generative.decoder_bundle import DecoderBundle
    from tfgreen.generative.generation import generate as run

    decoder = DecoderBundle.read(bundle)
    if not decoder.certificate.passed:
        reasons = " ".join(check.message for check in decoder.certificate.failed_checks)
        click.echo(f"Warning: the certificate of {bundle} failed. {reasons}", err=True)
    made = run(
        decoder,
        prompt,
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        threads=threads,
    )
    if as_json:
        made.finish()
        document = {
            "prompt": prompt,
            "text": made.text,
            "tokens": made.tokens,
            "prompt_tokens": made.prompt_tokens,
            "first_token_seconds": made.first_token_seconds,
            "tokens_per_second": made.tokens_per_second,
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    click.echo(prompt, nl=False)
    for piece in made:
        click.echo(piece, nl=False)
    click.echo()
    if not quiet:
        first, speed = made.first_token_seconds or 0.0, made.tokens_per_second or 0.0
        click.echo(
            f"{len(made.tokens)} tokens, {speed:,.0f} a second, the first after "
            f"{first * 1000:.1f} ms",
            err=True,
        )
