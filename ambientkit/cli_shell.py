"""What the verbs share: options, output, progress."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ambientkit.blends import BLENDS

if TYPE_CHECKING:  # the engine is imported by verbs when they are run, so that `--help` stays fast
    from rich.console import Console, RenderableType

    from ambientkit.engine import Engine
    from ambientkit.plugins import Discovery

Verb = TypeVar("Verb", bound=Callable[..., Any])


@dataclass(frozen=True)
class Shell:
    """How a verb talks: results to stdout, notes and progress to stderr (none of those when quiet)."""

    quiet: bool = False

    def note(self, text: str) -> None:
        """Something worth knowing that is no result."""
        if not self.quiet:
            click.echo(text, err=True)

    def show(self, *parts: RenderableType) -> None:
        """Print tables, wide enough to be read or piped."""
        console = _console(stderr=False)
        for part in parts:
            console.print(part)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """A bar on stderr for the engine's `progress(what, done, total)`; it ends with its total."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda _what, _done, _total: None
            return
        from rich.progress import Progress

        with Progress(console=_console(stderr=True), transient=True) as bar:
            tasks: dict[str, Any] = {}

            def advance(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    bar.start()
                    tasks[what] = bar.add_task(what)
                bar.update(tasks[what], completed=done, total=total)
                if done >= total:  # callbacks draw bars of their own afterwards
                    bar.stop()

            yield advance


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class Shown(Console):
        def on_broken_pipe(self) -> None:
            """Nobody reads on, as under `head`: click ends that in silence."""
            raise BrokenPipeError(errno.EPIPE, "nobody reads on")

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else max(shutil.get_terminal_size().columns, 160)
    return Shown(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_json(data: Any) -> None:
    """Print plain data as JSON."""
    from ambientkit.run_folder import finite

    click.echo(json.dumps(finite(data), indent=2, ensure_ascii=False, default=str, allow_nan=False))


def examples(*lines: str) -> str:
    """The end of a verb's help; the mark keeps click from joining the lines."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)])


# Options ----------------------------------------------------------------------------------------


def plugin_option(verb: Verb) -> Verb:
    """`--plugin FILE.py`, on every verb that finds components; the verb gets an `engine`."""
    return _plugin_option(verb, discover=True)


def listed_plugin_option(verb: Verb) -> Verb:
    """The same on verbs about runs: of what is installed, only plugins that the run lists are loaded."""
    return _plugin_option(verb, discover="listed")


def _plugin_option(verb: Verb, discover: Discovery) -> Verb:
    def found(_context: click.Context, _option: click.Parameter, files: tuple[str, ...]) -> Engine:
        from ambientkit.engine import Engine

        return Engine(files=files, discover=discover)

    @wraps(verb)
    def held(*arguments: Any, engine: Engine, **options: Any) -> Any:
        from ambientkit.containment import contained

        with contained(engine.plugins.registry):
            return verb(*arguments, engine=engine, **options)

    return click.option(
        "--plugin",
        "engine",
        metavar="FILE.py",
        multiple=True,
        type=click.Path(path_type=Path),
        callback=found,
        help="Load a plugin from a single file, which executes it. May be repeated.",
    )(cast(Verb, held))


def recipe_arguments(verb: Verb) -> Verb:
    """RECIPE and its overrides."""
    overrides = click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
    return click.argument("recipe")(overrides(verb))


def device_option(verb: Verb) -> Verb:
    """`--device`."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        help="cpu, cuda, cuda:N, or auto: CUDA where there is one.",
    )(verb)


def precision_option(verb: Verb) -> Verb:
    """`--precision`."""
    return click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16"]),
        default="auto",
        show_default=True,
        help="Of the networks; auto: bf16 where the hardware has it (a resumed run: as before).",
    )(verb)


def compile_option(verb: Verb) -> Verb:
    """`--compile`."""
    return click.option(
        "--compile",
        type=click.Choice(["auto", "on", "off"]),
        default="auto",
        show_default=True,
        help="Compile networks for training, and record updates on a GPU; auto: off (resumed: as before).",
    )(verb)


def checkpoint_option(verb: Verb) -> Verb:
    """`--checkpoint`."""
    return click.option(
        "--checkpoint",
        default="latest",
        show_default=True,
        help="latest, best, or the name of one, step-0000500.",
    )(verb)


def blend_option(verb: Verb) -> Verb:
    """`--blend`."""
    return click.option(
        "--blend",
        type=click.Choice(BLENDS),
        default="none",
        show_default=True,
        help="Fit what was made to its surroundings afterwards.",
    )(verb)


def json_option(verb: Verb) -> Verb:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(verb)


run_argument = click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
