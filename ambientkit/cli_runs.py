"""The verbs about runs: run, resume, runs. Torch is imported by those that compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ambientkit import cli_tables
from ambientkit.cli_shell import (
    Shell,
    checkpoint_option,
    compile_option,
    device_option,
    examples,
    json_option,
    listed_plugin_option,
    plugin_option,
    precision_option,
    print_json,
    recipe_arguments,
    run_argument,
)
from ambientkit.errors import InputError, RunFolderError
from ambientkit.processes import own_rank
from ambientkit.run_folder import RunSummary, list_runs, read_run, summarise

if TYPE_CHECKING:
    from ambientkit.engine import Engine
    from ambientkit.recipe import Plan
    from ambientkit.running import RunResult

NAMED = 5  # of the pictures that were left out


@click.command(
    epilog=examples("ambientkit run quickstart", "ambientkit run mine.yaml train.batch_size=32 seed=1")
)
@recipe_arguments
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder of all runs; this one goes to OUT/NAME/NUMBER-seedSEED.",
)
@device_option
@precision_option
@compile_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Measure the data, build the networks and say what the run would be, but do not begin it.",
)
@json_option
@plugin_option
@click.pass_obj
def run(
    shell: Shell,
    recipe: str,
    overrides: tuple[str, ...],
    out: Path,
    device: str,
    precision: str,
    compile: str,
    dry_run: bool,
    as_json: bool,
    engine: Engine,
) -> None:
    """Train a recipe.

    RECIPE is a YAML file, or the name of one that comes with ambientkit; KEY=VALUE changes it.
    """
    plan = engine.load(recipe, *overrides)
    for warning in plan.warnings:
        if not own_rank():
            shell.note(str(warning))
    if dry_run:
        _preview(shell, plan, out, (device, precision, compile), as_json)
        return
    with shell.progress() as progress:
        callbacks = _console(engine, plan)
        done = engine.run(
            plan,
            out=out,
            device=device,
            precision=precision,
            compile=compile,
            callbacks=callbacks,
            progress=progress,
        )
    _report(shell, done, as_json)


def _console(engine: Engine, plan: Plan) -> list[object]:
    """Progress on the terminal, unless the recipe has its own."""
    listed = any(choice.registered.name == "console" for choice in plan.callbacks)
    return [] if listed else [engine.build("callback", "console")]


def _preview(shell: Shell, plan: Plan, out: Path, machine: tuple[str, str, str], as_json: bool) -> None:
    from ambientkit.machine import choose
    from ambientkit.preview import preview

    with shell.progress() as progress:
        seen = preview(plan, choose(*machine), out, progress)
    _say_left_out(shell, seen.skipped)
    if as_json:
        print_json(asdict(seen))
    else:
        click.echo(str(seen))


@click.command(epilog=examples("ambientkit resume runs/quickstart/0001-seed0"))
@run_argument
@click.argument("changes", nargs=-1, metavar="")
@device_option
@precision_option
@compile_option
@checkpoint_option
@json_option
@listed_plugin_option
@click.pass_obj
def resume(
    shell: Shell,
    folder: Path,
    changes: tuple[str, ...],
    device: str,
    precision: str,
    compile: str,
    checkpoint: str,
    as_json: bool,
    engine: Engine,
) -> None:
    """Go on with a run that was interrupted.

    On the same device it ends with the same bits as if it had never stopped.
    """
    if changes:
        raise InputError(
            f"{changes[0]}: a run goes on with the recipe that it began with; to train its weights further, "
            f"begin another run: ambientkit run {folder}/resolved.yaml train.init_from={folder} KEY=VALUE"
        )
    with shell.progress() as progress:
        done = engine.resume(
            folder,
            checkpoint=checkpoint,
            device=device,
            precision=precision,
            compile=compile,
            callbacks=_console(engine, engine.load_run(folder)),
            progress=progress,
        )
    _report(shell, done, as_json)


def _say_left_out(shell: Shell, skipped: Sequence[str]) -> None:
    if skipped:
        named = ", ".join(skipped[:NAMED]) + (" ..." if len(skipped) > NAMED else "")
        many = "s" if len(skipped) > 1 else ""
        shell.note(f"{len(skipped)} picture{many} could not be read, left out: {named}")


def _report(shell: Shell, done: RunResult, as_json: bool) -> None:
    if own_rank():
        return  # the first process speaks for all
    if as_json:
        print_json(asdict(done))
        return
    if done.figures:
        shell.show(cli_tables.comparison({"trained": done.figures, **done.rows}, f"step {done.step}"))
    record = read_run(done.folder)
    for each in record.get("warnings", []):
        shell.note(f"warning: step {each['step']}: {each['warning']}")
    _say_left_out(shell, record["data"]["skipped"])
    for line in (made_with(done.folder), *done.labels):
        click.echo(line)
    click.echo(f"{done.folder}: finished at step {done.step}, {done.seconds:.0f} s")


def made_with(folder: Path) -> str:
    """The recipe, seed and data behind the figures of a run."""
    import yaml

    try:
        resolved = yaml.safe_load((folder / "resolved.yaml").read_text("utf-8"))
        data = resolved["data"]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise RunFolderError(f"{folder / 'resolved.yaml'}: is damaged or not there ({error})") from error
    fingerprint = read_run(folder)["data"]["fingerprint"]
    return (
        f"{folder}: recipe {resolved['name']}, seed {resolved['seed']}, "
        f"data {data['source']['kind']} {str(fingerprint)[:12]}, data.seed {data['seed']}"
    )


# Listing ----------------------------------------------------------------------------------------


@click.command(
    epilog=examples("ambientkit runs", "ambientkit runs runs/faces/0001-seed0 runs/faces/0002-seed1 --json")
)
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def runs(shell: Shell, folders: tuple[Path, ...], as_json: bool) -> None:
    """List runs, or compare their figures.

    The runs below each FOLDER are listed, below runs/ if none is given. Where every FOLDER is itself
    a run, their figures are compared.
    """
    compare = bool(folders) and all((folder / "run.json").exists() for folder in folders)
    found = [summary for folder in folders or (Path("runs"),) for summary in _summaries(folder)]
    if as_json:
        print_json([asdict(summary) for summary in found])
    elif compare:
        rows = {str(run.folder): run.figures for run in found}
        shell.show(cli_tables.runs(found), cli_tables.comparison(rows))
        for run_folder in rows:
            click.echo(made_with(Path(run_folder)))
    else:
        shell.show(cli_tables.runs(found))


def _summaries(folder: Path) -> Sequence[RunSummary]:
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: there is no such folder; name the one that `run --out` wrote to")
    if not (folder / "run.json").exists():
        return list_runs(folder)
    try:
        return [summarise(folder)]
    except KeyError as error:
        raise RunFolderError(f"{folder / 'run.json'}: has no {error}; it is damaged") from error
