"""The verbs for authors of plugins; torch is imported only when something is checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ambientkit import cli_tables
from ambientkit.cli_shell import Shell, examples, json_option, print_json
from ambientkit.errors import InputError
from ambientkit.names import CATEGORIES

if TYPE_CHECKING:
    from rich.table import Table

    from ambientkit.plugin_check import CheckedComponent
    from ambientkit.testing import Finding


@click.command("new-plugin", epilog=examples("ambientkit new-plugin fog --kind measurement"))
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(CATEGORIES),
    default="measurement",
    show_default=True,
    help="What the plugin offers.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    help="Folder in which ambientkit-NAME is made; default: the current one.",
)
@click.pass_obj
def new_plugin(shell: Shell, name: str, kind: str, out: Path) -> None:
    """Write a plugin package that works at once.

    It is a folder ambientkit-NAME with a small component, a recipe and tests, to be changed bit by bit.
    Nothing is ever overwritten.
    """
    from ambientkit.scaffold import new_plugin as write_package

    folder = write_package(name, kind, out)
    click.echo(folder)
    shell.note(
        f"Install it with: pip install -e {folder}\n"
        f"Check it with:   ambientkit check-plugin {name}\n"
        f"Run it with:     ambientkit run {folder / name}.yaml\n"
        f"It has no licence yet: {folder / 'README.md'} says more."
    )


@click.command(
    "check-plugin", epilog=examples("ambientkit check-plugin fog", "ambientkit check-plugin fog.py")
)
@click.argument("targets", metavar="NAME|FILE.py...", nargs=-1, required=True)
@click.option(
    "--option",
    "options",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set an option of the components that have it. May be repeated.",
)
@click.option("--corners", is_flag=True, help="Check besides at every bound and choice of every option.")
@click.option("--all", "every", is_flag=True, help="List every check, skipped ones with the reason.")
@json_option
@click.pass_obj
def check_plugin(
    shell: Shell,
    targets: tuple[str, ...],
    options: tuple[str, ...],
    corners: bool,
    every: bool,
    as_json: bool,
) -> None:
    """Hold all that a plugin offers to its contract, which runs its code.

    NAME is an installed plugin's. Exit 1 if a promise is broken, and what to do about it.
    """
    pairs = [_option(option) for option in options]
    given = dict(pairs)
    if len(given) < len(pairs):
        raise InputError("an --option is given twice; leave one out")
    checked = [each for target in targets for each in _checked(shell, target, given, corners)]
    failed = [each for each in checked if each.failures]
    if as_json:
        print_json({"passed": not failed, "components": [asdict(each) for each in checked]})
    else:
        shell.show(_every_check(checked) if every else _counts(checked))
        _tell_failures(checked)
    click.get_current_context().exit(1 if failed else 0)


def _checked(shell: Shell, target: str, options: dict[str, Any], corners: bool) -> list[CheckedComponent]:
    shell.note(f"{target}: its code is run now; a plugin may do whatever you may do")
    from ambientkit.plugin_check import load_plugin

    plugin = load_plugin(target)
    return list(plugin.check(options, corners=corners))


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InputError(f"--option {text!r} is no KEY=VALUE; write, for instance, --option size=28")
    from ambientkit import recipe_yaml

    return key, recipe_yaml.parse(value, "--option").plain()


OUTCOMES = ("passed", "failed", "skipped")


def _counts(checked: list[CheckedComponent]) -> Table:
    """A row for each component and its options: how many checks passed, failed and say nothing of it."""
    rows = [(each.component, each.options, *map(str, _numbers(each))) for each in checked]
    return cli_tables.table(("component", "options", *OUTCOMES), rows)


def _numbers(checked: CheckedComponent) -> list[int]:
    return [sum(finding.outcome == outcome for finding in checked.findings) for outcome in OUTCOMES]


def _every_check(checked: list[CheckedComponent]) -> Table:
    rows = [
        (each.component, each.options, finding.check, finding.outcome, _why_skipped(finding))
        for each in checked
        for finding in each.findings
    ]
    return cli_tables.table(("component", "options", "check", "outcome", "why"), rows)


def _tell_failures(checked: list[CheckedComponent]) -> None:
    for each in checked:
        for finding in each.failures:
            click.echo(f"{each.component} ({each.options}): {finding}")
    components = len({each.component for each in checked})
    passed, failed, _ = map(sum, zip(*map(_numbers, checked), strict=True))
    what = "1 component" if components == 1 else f"{components} components"
    click.echo(f"{what}, {passed} checks passed, {failed} failed")


def _why_skipped(finding: Finding) -> str:
    # Why a check failed is long and said below the table.
    return finding.message if finding.outcome == "skipped" else ""
