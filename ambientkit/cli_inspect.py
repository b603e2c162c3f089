"""The verb `inspect`; it imports torch only when it is run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ambientkit.cli_shell import Shell, examples, json_option, plugin_option, print_json, recipe_arguments
from ambientkit.cli_tables import table
from ambientkit.durable import write_text

if TYPE_CHECKING:
    from ambientkit.engine import Engine
    from ambientkit.inspecting.further import Further
    from ambientkit.inspecting.inspection import Inspection
    from ambientkit.inspecting.noise import Noise
    from ambientkit.inspecting.verdicts import Evidence

Row = tuple[str, str]


@click.command(epilog=examples("ambientkit inspect quickstart --out inspected"))
@recipe_arguments
@click.option(
    "--draws",
    type=click.IntRange(min=1),
    default=4096,
    show_default=True,
    help="How many thetas to draw; rates are shares of them.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="How many measured samples inspect.png shows.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write inspect.png, observed.png and inspect.json there.",
)
@json_option
@plugin_option
@click.pass_obj
def inspect(
    shell: Shell,
    recipe: str,
    overrides: tuple[str, ...],
    draws: int,
    samples: int,
    out: Path | None,
    as_json: bool,
    engine: Engine,
) -> None:
    """Show what a recipe's sensor does to its data.

    How often each pixel is observed, what is never observed together, what the further measurement hides,
    the noise, and whether all that determines the law of the pictures. Nothing is trained.
    """
    with shell.progress() as progress:
        found = engine.inspect(recipe, *overrides, draws=draws, samples=samples, progress=progress)
    from ambientkit.inspecting.report import plain

    if out is not None:
        _write(found, out)
        shell.note(
            f"{out}: " + ", ".join(sorted(path.name for path in out.glob("*.*") if path.name in WRITTEN))
        )
    if as_json:
        print_json(plain(found))
        return
    _print(shell, found)


WRITTEN = ("inspect.json", "inspect.png", "observed.png")


def _write(found: Inspection, out: Path) -> None:
    from ambientkit.inspecting.pictures import maps_sheet, samples_sheet, save
    from ambientkit.inspecting.report import plain

    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "inspect.json", json.dumps(plain(found), ensure_ascii=False) + "\n")
    save(samples_sheet(found), out / "inspect.png")
    maps = maps_sheet(found)
    if maps is None:  # none of this sensor, so none of another that was inspected before
        (out / "observed.png").unlink(missing_ok=True)
    else:
        save(maps, out / "observed.png")


# Tables -----------------------------------------------------------------------------------------


def _print(shell: Shell, found: Inspection) -> None:
    """Tables, then warnings, and the verdict last."""
    shell.show(table((found.about.recipe, ""), _about(found)), "")
    if found.evidence:
        shell.show(table(("what is observed", ""), _observation(found.evidence)), "")
    if found.further:
        shell.show(table(("what the further measurement hides", ""), _further(found.further)), "")
    if found.noise:
        shell.show(table(("how y varies with theta alone", ""), _noise(found.noise)), "")
    for warning in found.warnings:
        click.echo(f"warning: {warning}\n")
    certain = "proven" if found.judgement.proven else "as far as draws can tell"
    if found.judgement.verdict == "unknown":
        click.echo(f"Verdict: unknown\n{found.judgement.reason}")
    else:
        click.echo(f"Verdict: {found.judgement.verdict} ({certain})\n{found.judgement.reason}")


def _about(found: Inspection) -> Iterator[Row]:
    about = found.about
    arrived = ", arriving measured" if about.arrives_measured else ""
    shape, measured = (" x ".join(map(str, each)) for each in (about.image_shape, about.measured_shape))
    yield "data", f"{about.source}: {about.pictures:,} training pictures of {shape}{arrived}"
    kind = "exact" if about.exact else "not exact"
    drawn = "another theta for each picture" if about.random else "the same for all pictures"
    yield "sensor", f"{about.sensor}: {kind}, {drawn}"
    reports = f", with {', '.join(about.known)} reported" if about.known else ""
    yield "a measurement", f"{measured}{reports}"
    if found.evidence is None:
        yield "observed pixels", "not said by the sensor, so no rates and no maps"


def _observation(evidence: Evidence) -> Iterator[Row]:
    from ambientkit.inspecting.report import size_of_holes, summary
    from ambientkit.inspecting.verdicts import named

    masks, pairs = evidence.masks, evidence.pairs
    yield "estimated from", evidence.among
    yield "a pixel is observed", _range(summary(masks.rate))
    yield "share of a picture hidden", _range(summary(masks.hidden))
    yield "longest hidden run", size_of_holes(masks)
    yield "whole picture observed", f"in {masks.whole} of {masks.n}"
    never = f": {named(evidence.never)}" if evidence.never else ""
    yield "pixels never observed", f"{len(evidence.never)} of {masks.seen.numel()}{never}"
    part = "" if pairs.sites == pairs.of else f", among {pairs.sites} of {pairs.of} pixels drawn at random"
    yield "pairs never observed together", f"{pairs.never}{_chance(pairs.never - pairs.told)}{part}"
    if pairs.nearest:
        yield "the nearest of them", "; ".join(f"{one} and {other}" for one, other in pairs.nearest)
    yield "a pair is observed together", f"at least in {_percent(pairs.rarest)}"
    if evidence.certificate:
        places = evidence.certificate.places
        yield "never all seen at once", f"{len(places)} pixels: {named(places)}"


def _chance(count: int) -> str:
    return f" ({count} of them rare enough to be chance)" if count else ""


def _further(further: Further) -> Iterator[Row]:
    from ambientkit.inspecting.report import size_of_holes, summary

    yield "sensor", f"{further.sensor}, applied to {_percent(further.probability)} of the pictures"
    yield "where it is applied:", ""
    yield "it hides a pixel that is known", _range(summary(further.rate))
    yield "it hides anything known", f"in {_percent(further.hides_known)}"
    if further.beside_hole is not None:
        yield (
            "it hides a known pixel beside the hole",
            f"in {_percent(further.beside_hole)} of pictures with one",
        )
    yield "longest hidden run", size_of_holes(further.masks)
    differs = any(gap.differs for gap in further.gaps)
    same = "no difference found" if further.gaps else "the same sensor and options"
    yield "its holes against the sensor's", "another law, see below" if differs else same


def _noise(noise: Noise) -> Iterator[Row]:
    yield "pictures", f"{noise.of}; units of pictures in [-1, 1]"
    yield "standard deviation over theta", _number(noise.spread)
    yield "standard deviation over pixels of y's mean over theta", _number(noise.signal)
    if noise.shift is not None:
        yield "mean less the picture (root mean square)", _number(noise.shift)


def _range(figures: dict[str, Any]) -> str:
    if figures["min"] is None:
        return "-"
    least, median, most = (_percent(figures[name]) for name in ("min", "median", "max"))
    return f"{least} to {most}, median {median}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
