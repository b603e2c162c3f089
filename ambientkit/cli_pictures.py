"""The verbs that make pictures with a trained run: complete, generate. Torch is imported by them alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ambientkit.blends import Blend
from ambientkit.cli_shell import (
    Shell,
    Verb,
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
from ambientkit.signals import interrupting

if TYPE_CHECKING:
    from ambientkit.completion import Around, TrainedRun
    from ambientkit.engine import Engine
    from ambientkit.picture_files import CompletedFile, MaskSource

LEAST_SHOWN = 0.0005
"""A smaller share of pixels would read as none with one digit of a per cent."""


def _colour(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> tuple[int, int, int] | None:
    if text is None:
        return None
    if not re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        raise click.BadParameter(f"{text!r} is no colour; write it as '#ffffff'")
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


@dataclass(frozen=True)
class _Told:
    """What was said of where the pixels to fill are told."""

    masks: Path | None
    invert: bool | None
    alpha: bool
    key_colour: tuple[int, int, int] | None
    tolerance: int
    dilate: int

    def require_pairs(self) -> None:
        """Raises InputError for an option that has no effect without another."""
        if self.invert is not None and self.masks is None:
            raise InputError("--invert goes with --masks; give both or neither")
        if self.tolerance and self.key_colour is None:
            raise InputError("--tolerance goes with --key-colour; give both or neither")

    def source(self, shell: Shell, trained: TrainedRun) -> MaskSource | None:
        """None where nothing was said about what is hidden; InputError where that is to be grown."""
        from ambientkit.picture_files import MaskSource

        if self.masks is not None or self.alpha or self.key_colour is not None:
            inverted = self._inverted(shell, trained)
            return MaskSource(self.masks, self.alpha, self.key_colour, self.tolerance, self.dilate, inverted)
        if self.dilate:
            raise InputError("--dilate grows what --masks, --alpha or --key-colour tells; give one of them")
        return None

    def _inverted(self, shell: Shell, trained: TrainedRun) -> bool:
        """Whether masks are white where pixels are known; said where the run's recipe decides it."""
        if self.masks is None or self.invert is not None:
            return bool(self.invert)
        if trained.white_is_known:
            shell.note(
                f"{trained.folder}: was trained with masks that are white where pixels are known, and "
                f"{self.masks} is read so; --no-invert fills where it is white"
            )
        return trained.white_is_known


_TOLD = (
    click.option(
        "--masks",
        type=click.Path(path_type=Path),
        help="One mask for all, or a folder with one of each picture's name; white is filled.",
    ),
    click.option(
        "--invert/--no-invert",
        default=None,
        help="With --masks: white is known, and black is filled.  [default: as in the run's own recipe]",
    ),
    click.option("--alpha", is_flag=True, help="Fill where the pictures are transparent."),
    click.option(
        "--key-colour",
        callback=_colour,
        metavar="'#RRGGBB'",
        help="Fill where the pictures have a colour.",
    ),
    click.option(
        "--tolerance",
        type=click.IntRange(0, 255),
        default=0,
        show_default=True,
        help="With --key-colour: how far each channel may be from it.",
    ),
    click.option(
        "--dilate",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Grow the holes by so many pixels.",
    ),
)


def _told_options(verb: Verb) -> Verb:
    """The options that say where the pixels to fill are told, as one: `told`."""

    @wraps(verb)
    def gathered(*arguments: Any, **given: Any) -> Any:
        told = _Told(**{each.name: given.pop(each.name) for each in fields(_Told)})
        return verb(*arguments, told=told, **given)

    for option in reversed(_TOLD):
        gathered = option(gathered)
    return cast(Verb, gathered)


def _pixels_or_all(_context: click.Context, _option: click.Parameter, text: str | None) -> Around:
    if text is None:
        return None
    if text == "all":
        return "all"
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise click.BadParameter(f"{text!r} is neither a number of pixels, 1 or more, nor `all`")
    return int(text)


@click.command(
    epilog=examples(
        "ambientkit complete runs/quickstart/0001-seed0 damaged/ --masks masks/ --out completed",
        "ambientkit complete runs/quickstart/0001-seed0 a.png --key-colour '#ffffff' --out completed",
    )
)
@run_argument
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@_told_options
@click.option("--samples", type=click.IntRange(1), help="So many different fills a picture, from a latent.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of the latents, where the generator takes one.",
)
@click.option(
    "--around",
    callback=_pixels_or_all,
    metavar="PIXELS",
    help="Show the network so many pixels around each hole, or `all` of the picture.  "
    "[default: windows about as large as the training pictures]",
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
    told: _Told,
    samples: int | None,
    seed: int,
    around: Around,
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

    told.require_pairs()
    trained = engine.open(folder, checkpoint=checkpoint, device=device)
    trained.require_completing()
    source = told.source(shell, trained)
    work = complete_files(
        trained,
        pictures,
        out,
        source,
        samples,
        blend,
        seed=seed,
        skip_existing=skip_existing,
        around=around,
        warn=partial(_warn, shell),
    )
    done = _completed(shell, work, len(find_pictures(pictures, own_folders(out, source))))
    if as_json:
        print_json([asdict(each) for each in done])
        return
    for each in done:
        _tell(shell, each)


def _completed(shell: Shell, work: Iterator[CompletedFile], total: int) -> list[CompletedFile]:
    """Do the work; where it ends early, say how far it came."""
    done: list[CompletedFile] = []
    try:
        with interrupting(), shell.progress() as progress:
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
