"""`tfgreen profiles`: the targets."""

from __future__ import annotations

import json

import click

from tfgreen.cli import options
from tfgreen.cli.verb import Verb


@click.command(cls=Verb, short_help="List the targets, or show one.")
@click.argument("name", required=False, shell_complete=options.complete_profile)
@options.as_json
@options.talk
def profiles(name: str | None, as_json: bool, verbose: int, quiet: bool) -> None:
    """List the export profiles, or show the one called NAME (a path works too).

    \b
    Examples:
      tfgreen profiles
      tfgreen profiles microcontroller-int8
      tfgreen profiles microcontroller-int8 > mine.toml     a start for your own
    """
    from tfgreen.profile import list_profiles, load_profile
    from tfgreen.reporting.profile_text import profile_source, profiles_text

    if name is not None:
        profile = load_profile(name)
        document = json.dumps(profile.model_dump(mode="json"), indent=2)
        click.echo(document if as_json else profile_source(name), nl=as_json)
        return
    known = [load_profile(known_name) for known_name in list_profiles()]
    if as_json:
        click.echo(json.dumps([profile.model_dump(mode="json") for profile in known], indent=2))
    else:
        click.echo("\n".join(list_profiles()) if quiet else profiles_text(known))
