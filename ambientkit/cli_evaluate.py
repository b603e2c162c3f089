"""The verb evaluate. Torch is imported where it computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ambientkit import cli_tables
from ambientkit.blends import Blend
from ambientkit.cli_runs import made_with
from ambientkit.cli_shell import (
    Shell,
    blend_option,
    checkpoint_option,
    device_option,
    examples,
    json_option,
    listed_plugin_option,
    print_json,
    run_argument,
)
from ambientkit.errors import InputError

if TYPE_CHECKING:
    from ambientkit.engine import Engine
    from ambientkit.evaluating.evaluate import Evaluation


@click.command(
    epilog=examples(
        "ambientkit evaluate runs/quickstart/0001-seed0 --baselines",
        "ambientkit evaluate runs/faces/0001-seed0 --against runs/twin/0001-seed0 data.source.root=faces",
    )
)
@run_argument
@click.argument("overrides", metavar="[data.source.KEY=VALUE]...", nargs=-1)
@click.option(
    "--against",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Another run on the same held-out pictures; may be given several times.",
)
@click.option("--baselines", is_flag=True, help="Set it beside fills that need no training, and nature.")
@click.option("--metrics", metavar="A,B", help="These figures alone; else all that can be taken.")
@blend_option
@click.option(
    "--samples",
    type=click.IntRange(2),
    default=8,
    show_default=True,
    help="Fills of a picture that are compared, where the generator takes a latent.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="How often pictures are drawn anew for the 95 % intervals, 100 or more; 0: no intervals.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for evaluation.json and evaluation.png, without any yet; else RUN/evaluation.",
)
@checkpoint_option
@device_option
@json_option
@listed_plugin_option
@click.pass_obj
def evaluate(
    shell: Shell,
    folder: Path,
    overrides: tuple[str, ...],
    against: tuple[Path, ...],
    baselines: bool,
    metrics: str | None,
    blend: Blend,
    samples: int,
    bootstrap: int,
    out: Path | None,
    checkpoint: str,
    device: str,
    as_json: bool,
    engine: Engine,
) -> None:
    """Take the figures of a run's held-out pictures, with 95 % intervals.

    The pictures and holes are those that training held out. data.source.KEY=VALUE says where the data
    lie now, if they were moved.
    """
    from ambientkit.evaluating.report import require_free
    from ambientkit.evaluating.wishes import Wishes

    wishes = Wishes(baselines, blend, samples, bootstrap)
    if out is not None:
        require_free(out)
    with shell.progress() as progress:
        done = engine.evaluate(
            folder,
            *overrides,
            against=against,
            metrics=[name.strip() for name in metrics.split(",")] if metrics else None,
            wishes=wishes,
            checkpoint=checkpoint,
            device=device,
            progress=progress,
        )
    written = _written(done, out or folder / "evaluation")
    if as_json:
        print_json(done.plain())
        return
    _show(shell, done, (folder, *against))
    click.echo(", ".join(map(str, written)))


def _show(shell: Shell, done: Evaluation, runs: Sequence[Path]) -> None:
    """The table, what is not in it, and what is to be known of the runs."""
    shell.show(*cli_tables.evaluation(done.rows, done.differences, done.facts["pictures"]))
    for name, reason in done.left_out.items():
        shell.note(f"left out {name}: {reason}")
    for run in runs:
        click.echo(made_with(run))
    for name, labels in done.labels.items():
        for label in labels:
            click.echo(f"{name}: {label}")


def _written(done: Evaluation, out: Path) -> list[Path]:
    """The files of an evaluation. Raises InputError with the reasons where it is a table without figures."""
    from ambientkit.evaluating.report import write

    if not any(done.rows.values()):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in done.left_out.items())
        raise InputError(f"no figure can be taken of these pictures: {reasons or 'no metric fits the run'}")
    return write(done, out)
