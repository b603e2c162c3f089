"""The verbs about runs: run, resume, complete, generate, runs. Torch is imported by those that compute."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ambientkit import cli_tables
from ambientkit.blends import Blend
from ambientkit.cli_shell import (
    Shell,
    blend_option,
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
    from ambientkit.completion import TrainedRun
    from ambientkit.engine import Engine, RunResult
    from ambientkit.picture_files import CompletedFile, MaskSource
    from ambientkit.recipe import Plan

LEAST_SHOWN = 0.0005
"""A smaller share of pixels would read as none with one digit of a per cent."""


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
    skipped = record["data"]["skipped"]
    if skipped:
        shell.note(
            f"{len(skipped)} pictures could not be read and were left out: {', '.join(skipped[:5])} ..."
        )
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


# Use --------------------------------------------------------------------------------------------


def _colour(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> tuple[int, int, int] | None:
    if text is None:
        return None
    if not re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        raise click.BadParameter(f"{text!r} is no colour; write it as '#ffffff'")
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


@click.command(
    epilog=examples(
        "ambientkit complete runs/quickstart/0001-seed0 damaged/ --masks masks/ --out completed",
        "ambientkit complete runs/quickstart/0001-seed0 a.png --key-colour '#ffffff' --out completed",
    )
)
@run_argument
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="One mask for all, or a folder with one of each picture's name; white is filled.",
)
@click.option(
    "--invert/--no-invert",
    default=None,
    help="With --masks: white is known, and black is filled.  [default: as in the run's own recipe]",
)
@click.option("--alpha", is_flag=True, help="Fill where the pictures are transparent.")
@click.option(
    "--key-colour", callback=_colour, metavar="'#RRGGBB'", help="Fill where the pictures have a colour."
)
@click.option(
    "--tolerance",
    type=click.IntRange(0, 255),
    default=0,
    show_default=True,
    help="With --key-colour: how far each channel may be from it.",
)
@click.option(
    "--dilate", type=click.IntRange(0), default=0, show_default=True, help="Grow the holes by so many pixels."
)
@click.option("--samples", type=click.IntRange(1), help="So many different fills a picture, from a latent.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of the latents, where the generator takes one.",
)
@blend_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("completed"),
    show_default=True,
    help="Folder for the pictures.",
)
@click.option(
    "--skip-existing",
    is_flag=True,
    help="Skip pictures whose results and mask are all in --out: an interrupted job goes on.",
)
@checkpoint_option
@device_option
@json_option
@listed_plugin_option
@click.pass_obj
def complete(
    shell: Shell,
    folder: Path,
    pictures: tuple[Path, ...],
    masks: Path | None,
    invert: bool | None,
    alpha: bool,
    key_colour: tuple[int, int, int] | None,
    tolerance: int,
    dilate: int,
    samples: int | None,
    seed: int,
    blend: Blend,
    out: Path,
    skip_existing: bool,
    checkpoint: str,
    device: str,
    as_json: bool,
    engine: Engine,
) -> None:
    """Fill what is hidden in pictures.

    PICTURES are files or folders, of any size; every other pixel stays as it is, unless the recipe
    said `composite: false`: such a run restores whole pictures, and needs no masks unless its
    generator was shown what its sensor hides. Beside each
    picture a mask says what was made. Completed pixels are invented: they are no evidence.
    """
    from ambientkit.picture_files import complete_files, find_pictures, own_folders

    _require_pairs(masks, invert, key_colour, tolerance)
    trained = engine.open(folder, checkpoint=checkpoint, device=device)
    inverted = _inverted(shell, trained, masks, invert)
    source = _mask_source(masks, alpha, key_colour, tolerance, dilate, inverted)
    work = complete_files(
        trained,
        pictures,
        out,
        source,
        samples,
        blend,
        seed=seed,
        skip_existing=skip_existing,
        warn=partial(_warn, shell),
    )
    done = _completed(shell, work, len(find_pictures(pictures, own_folders(out, source))))
    if as_json:
        print_json([asdict(each) for each in done])
        return
    for each in done:
        _tell(shell, each)


def _require_pairs(
    masks: Path | None, invert: bool | None, key_colour: tuple[int, int, int] | None, tolerance: int
) -> None:
    """Raises InputError for an option that has no effect without another."""
    if invert is not None and masks is None:
        raise InputError("--invert goes with --masks; give both or neither")
    if tolerance and key_colour is None:
        raise InputError("--tolerance goes with --key-colour; give both or neither")


def _inverted(shell: Shell, trained: TrainedRun, masks: Path | None, invert: bool | None) -> bool:
    """Whether masks are white where pixels are known; said where the run's recipe decides it."""
    if masks is None or invert is not None:
        return bool(invert)
    if trained.white_is_known:
        shell.note(
            f"{trained.folder}: was trained with masks that are white where pixels are known, and {masks} is "
            "read so; --no-invert fills where it is white"
        )
    return trained.white_is_known


def _mask_source(
    masks: Path | None,
    alpha: bool,
    key_colour: tuple[int, int, int] | None,
    tolerance: int,
    dilate: int,
    inverted: bool,
) -> MaskSource | None:
    """None where nothing was said about what is hidden."""
    from ambientkit.picture_files import MaskSource

    told = masks is not None or alpha or key_colour is not None
    return MaskSource(masks, alpha, key_colour, tolerance, dilate, inverted) if told else None


def _completed(shell: Shell, work: Iterator[CompletedFile], total: int) -> list[CompletedFile]:
    """Do the work; where it ends early, say how far it came."""
    done: list[CompletedFile] = []
    try:
        with shell.progress() as progress:
            for each in work:
                done.append(each)
                progress("completing", len(done), total)
    except BaseException:
        if done:
            shell.note(f"{len(done)} of {total} pictures are done; --skip-existing goes on with the others")
        raise
    return done


def _tell(shell: Shell, each: CompletedFile) -> None:
    if each.skipped:
        click.echo(f"{each.source}: skipped, for it was done already, {', '.join(map(str, each.written))}")
        return
    share = "<0.1%" if 0 < each.made < LEAST_SHOWN else f"{each.made:.1%}"
    click.echo(f"{each.source}: {share} made, {', '.join(map(str, each.written))}")
    if not each.made:
        _warn(shell, f"{each.source}: nothing in it is hidden, so nothing was made")


def _warn(shell: Shell, text: str) -> None:
    shell.note(f"warning: {text}")


@click.command(epilog=examples("ambientkit generate runs/mnist/0001-seed0 -n 64 --out made"))
@run_argument
@click.option("-n", "count", type=click.IntRange(1), default=64, show_default=True, help="How many.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Seed of the latents."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the pictures."
)
@checkpoint_option
@device_option
@json_option
@listed_plugin_option
def generate(
    folder: Path,
    count: int,
    seed: int,
    out: Path,
    checkpoint: str,
    device: str,
    as_json: bool,
    engine: Engine,
) -> None:
    """Make new pictures.

    The run's generator must start from a latent; one that completes pictures is for `complete`.
    """
    from ambientkit.picture_files import save_pictures

    trained = engine.open(folder, checkpoint=checkpoint, device=device)
    written = save_pictures(partial(trained.generate, count, seed=seed), count, out)
    if as_json:
        print_json(written)
        return
    click.echo(f"{out}: wrote {len(written)} pictures")


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
