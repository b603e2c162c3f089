"""The verbs about recipes and components; none of them imports torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ambientkit import cli_tables
from ambientkit.cli_shell import Shell, examples, json_option, plugin_option, print_json, recipe_arguments
from ambientkit.durable import write_text
from ambientkit.errors import InputError, PluginError, RecipeError
from ambientkit.names import CATEGORIES

if TYPE_CHECKING:
    from ambientkit.engine import Engine
    from ambientkit.registry import Registered

SCHEMA = "# yaml-language-server:"


@click.command(epilog=examples("ambientkit validate quickstart train.batch_size=8"))
@recipe_arguments
@json_option
@plugin_option
def validate(recipe: str, overrides: tuple[str, ...], as_json: bool, engine: Engine) -> None:
    """List everything that is wrong with a recipe.

    Warnings are listed too; exit 2 if anything is wrong.
    """
    problems = engine.validate(recipe, *overrides)
    errors = [problem for problem in problems if not problem.warning]
    if as_json:
        print_json({"recipe": recipe, "valid": not errors, "problems": [asdict(each) for each in problems]})
        click.get_current_context().exit(2 if errors else 0)
    if errors:
        raise RecipeError(problems)
    for warning in problems:
        click.echo(str(warning))
    click.echo(f"{recipe}: valid")


@click.command(epilog=examples("ambientkit show celeba_block --origins"))
@recipe_arguments
@click.option("--origins", is_flag=True, help="Say instead where each value that is written comes from.")
@plugin_option
def show(recipe: str, overrides: tuple[str, ...], origins: bool, engine: Engine) -> None:
    """Print a recipe as it is understood.

    Its parents are merged, its overrides applied, and every default is filled in.
    """
    from ambientkit import recipe_file, run_folder

    plan = engine.load(recipe, *overrides)
    if not origins:
        click.echo(run_folder.as_yaml(plan.resolved()), nl=False)
        return
    for path, value, place in recipe_file.origins(recipe, overrides):
        click.echo(f"{path} = {json.dumps(value, ensure_ascii=False)}  # {place}")


@click.command("cp", epilog=examples("ambientkit cp quickstart mine.yaml"))
@click.argument("recipe")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite DEST.")
@click.pass_obj
def copy(shell: Shell, recipe: str, destination: Path, force: bool) -> None:
    """Copy a shipped recipe to where it can be changed.

    RECIPE is the name of one that comes with ambientkit, or a file; DEST is a file or a folder.
    """
    from ambientkit import recipe_file

    found = recipe_file.find(recipe)
    target = destination / found.name if destination.is_dir() else destination
    if target.exists() and (target.samefile(found) or not force):
        remedy = "name another" if target.samefile(found) else "name another, or give --force"
        raise InputError(f"{target} exists already; {remedy}")
    lines = recipe_file.moved(found, target.parent).splitlines(keepends=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Where an editor finds the schema is another place from there: `ambientkit schema --out` writes one.
    write_text(target, "".join(line for line in lines if not line.startswith(SCHEMA)).removeprefix("#\n"))
    shell.note(f"{target}: copied from {found}; run it with: ambientkit run {target}")


@click.command(epilog=examples("ambientkit schema --out recipe.schema.json"))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file.")
@plugin_option
def schema(out: Path | None, engine: Engine) -> None:
    """Print the JSON schema of recipes, for editors.

    It has the options of every component that is installed.
    """
    from ambientkit import recipe_schema

    text = json.dumps(recipe_schema.schema(engine.plugins.registry), indent=2, ensure_ascii=False)
    if out is None:
        click.echo(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text + "\n")


@click.command(epilog=examples("ambientkit plugins", "ambientkit plugins --plugin fog.py --json"))
@json_option
@plugin_option
@click.pass_obj
def plugins(shell: Shell, as_json: bool, engine: Engine) -> None:
    """List the plugins and what they offer.

    Of each its namespace, version, source and components, or why it could not be loaded.
    """
    if as_json:
        print_json([asdict(report) for report in engine.plugins.reports])
        return
    shell.show(cli_tables.plugins(engine.plugins.reports))
    for report in engine.plugins.failures:
        click.echo(f"{report.name} ({report.source}) failed: {report.error}")


@click.command(
    epilog=examples("ambientkit describe measurement", "ambientkit describe measurement/block_patch")
)
@click.argument("component", metavar="CATEGORY[/NAME]")
@json_option
@plugin_option
@click.pass_obj
def describe(shell: Shell, component: str, as_json: bool, engine: Engine) -> None:
    """Say what a component is, and list its options; of a category, list the components.

    Of each option its type, default, bounds and description.
    """
    if component in CATEGORIES:
        _list(shell, [each for each in engine.plugins.registry if each.category == component], as_json)
        return
    found = _component(component, engine)
    rows = cli_tables.option_rows(found.component.options.model_json_schema())
    text = cli_tables.docstring(found.component.options)
    if as_json:
        about = {"category": found.category, "name": found.name, "source": found.source}
        print_json({**about, "description": text, "options": [asdict(row) for row in rows]})
        return
    click.echo(f"{found.category} {found.name}, {found.source}\n\n{text}\n")
    shell.show(cli_tables.options(rows))


def _list(shell: Shell, entries: Sequence[Registered], as_json: bool) -> None:
    rows = [(each.name, each.component.summary) for each in entries]
    if as_json:
        print_json([{"name": name, "summary": summary} for name, summary in rows])
        return
    shell.show(cli_tables.table(("name", "what it is"), rows))


def _component(component: str, engine: Engine) -> Registered:
    category, slash, name = component.partition("/")
    if category in CATEGORIES and slash:
        return engine.plugins.require(category, name)
    same = [entry for entry in engine.plugins.registry if entry.name == component]
    if same:
        meant = " or ".join(f"{entry.category}/{entry.name}" for entry in same)
        raise PluginError(f"{component!r} lacks its category; did you mean {meant}?")
    raise PluginError(f"{component!r}: {engine.plugins.explain_missing(category, name)}; write CATEGORY/NAME")
