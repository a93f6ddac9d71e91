"""`tfgreen recipes`: the ready recipes."""

from __future__ import annotations

import json

import click

from tfgreen.cli import options
from tfgreen.cli.verb import Verb


@click.command(cls=Verb, short_help="List the ready recipes, or show one.")
@click.argument("name", required=False, shell_complete=options.complete_recipe)
@options.as_json
@options.talk
def recipes(name: str | None, as_json: bool, verbose: int, quiet: bool) -> None:
    """List the ready recipes, or show the one called NAME (a path works too, and checks it).

    \b
    Examples:
      tfgreen recipes
      tfgreen recipes pqat
      tfgreen recipes pqat > mine.toml     a start for your own
    """
    import tomllib

    from tfgreen.recipe import list_recipes, load_recipe, recipe_path, recipe_source
    from tfgreen.reporting.recipe_text import recipes_text

    if name is not None:
        recipe = load_recipe(name)
        document = json.dumps(tomllib.loads(recipe.to_toml()), indent=2)
        click.echo(document if as_json else recipe_source(recipe_path(name)), nl=as_json)
        return
    known = [load_recipe(known_name) for known_name in list_recipes()]
    if as_json:
        click.echo(json.dumps([tomllib.loads(one.to_toml()) for one in known], indent=2))
    else:
        click.echo("\n".join(list_recipes()) if quiet else recipes_text(known))
