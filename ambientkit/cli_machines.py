"""The verbs about speed and about other programs: bench, export. Torch is imported by what they call."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

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

if TYPE_CHECKING:
    from ambientkit.engine import Engine

GIB = 2**30


@click.command(
    epilog=examples("ambientkit bench quickstart", "ambientkit bench mine.yaml train.batch_size=32")
)
@recipe_arguments
@click.option("--steps", type=click.IntRange(1), default=20, show_default=True, help="How many are timed.")
@device_option
@precision_option
@compile_option
@json_option
@plugin_option
@click.pass_obj
def bench(
    shell: Shell,
    recipe: str,
    overrides: tuple[str, ...],
    steps: int,
    device: str,
    precision: str,
    compile: str,
    as_json: bool,
    engine: Engine,
) -> None:
    """Say how fast a recipe trains here.

    RECIPE's own loop is run for a few steps, with its data, and without figures, checkpoints and callbacks.
    """
    with shell.progress() as progress:
        found = engine.bench(
            recipe,
            *overrides,
            steps=steps,
            device=device,
            precision=precision,
            compile=compile,
            progress=progress,
        )
    if as_json:
        print_json(asdict(found))
        return
    click.echo(
        f"{found.pictures_per_second:.1f} pictures/s; a step takes {1000 * found.median:.1f} ms "
        f"(median of {found.steps}; {1000 * found.fastest:.1f} to {1000 * found.slowest:.1f})"
    )
    memory = "" if found.memory is None else f" {found.memory / GIB:.2f} GiB at most;"
    span = f"{found.hours:.2f} h" if found.hours >= 1 else f"{60 * found.hours:.1f} min"
    click.echo(f"all steps of the recipe: {span};{memory} {found.machine}")


@click.command(epilog=examples("ambientkit export runs/quickstart/0001-seed0 --out completer.pt2"))
@run_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file: .pt2 for torch.export, .onnx for ONNX.",
)
@checkpoint_option
@json_option
@listed_plugin_option
def export(folder: Path, out: Path, checkpoint: str, as_json: bool, engine: Engine) -> None:
    """Write a run's generator as a program that needs no ambientkit.

    It takes pictures in [-1, 1] and what is hidden in them, and returns them completed; that of a generator
    of new pictures takes a latent alone.
    """
    done = engine.export(folder, out, checkpoint=checkpoint)
    if as_json:
        print_json(asdict(done))
        return
    free = f"multiples of {done.multiple} from {2 * done.multiple} up"  # torch.export traces no side of one
    size = free if done.any_size else "x".join(map(str, done.image_shape[1:]))
    click.echo(f"{done.file}: takes {', '.join(done.inputs)}; any number of pictures, sides {size}")
