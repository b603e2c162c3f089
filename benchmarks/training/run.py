"""The parts of the suite, and the command that chooses among them."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ambientkit.machine import choose

from . import own, profiling, start, use
from .contest import Contender, Length, contest, ratios
from .peaks import SECONDS, peaks
from .setting import Setting
from .tables import TABLES

ABOUT = """How fast ambientkit trains, from one command, from a checkout: python -m benchmarks.training

peaks        the machine's best matrix products, convolutions and copies
completing   GLCIC: ambientkit's loop, a bare PyTorch loop, one in the manner of public repositories
profile      milliseconds of a step of ambientkit's loop, by families of operations
generating   AmbientGAN with a DCGAN at 64x64: ambientkit with deepinv's networks (4x4 kernels) and its own
             (5x5); deepinv as shipped, with one fake a step, and with a batch (needs --deepinv-python)
start        imports and commands that only read
quickstart   from the command to the first step
preparation  JPEG files to a measured store
use          checkpoints and completed pictures

Loops take turns, each in a process of its own; figures are medians. Use an idle machine: on a busy one only
the time of all cores, "core ms", says something, and that with one thread."""

Found = dict[str, Any]
WIDTH = 130  # of the tables


@dataclass(frozen=True)
class Suite:
    """What the command was asked for."""

    setting: Setting
    generating_batch: int
    length: Length
    precisions: tuple[str, ...]
    deepinv_python: str | None
    repeats: int
    quick: bool

    def peaks(self, found: Found) -> Found:
        """Rates by name, of operations a second."""
        shrink, seconds = (16, 0.0) if self.quick else (1, SECONDS)
        return peaks(list(self.precisions), shrink, seconds)

    def completing(self, found: Found) -> Found:
        """The contest of loops that complete pictures."""
        kinds = (("own", "own:completing"), ("own shared", "own:sharing"), ("bare", "bare:completing"))
        loops = [
            Contender(f"{name} {precision}", loop, precision)
            for precision in self.precisions
            for name, loop in kinds
        ]
        loops.append(Contender("naive fp32", "naive:completing"))
        return self._contest(loops, self.setting, found)

    def profile(self, found: Found) -> Found:
        """Where the time of ambientkit's step goes, at the last of the precisions."""
        setting = replace(self.setting, precision=self.precisions[-1])
        return profiling.shares(own.completing, setting, self.length.steps)

    def generating(self, found: Found) -> Found | None:
        """The contest of loops that make pictures from a latent; None without an environment of deepinv's."""
        if self.deepinv_python is None:
            return None
        setting = replace(self.setting, batch=self.generating_batch, size=64)
        loops = [
            Contender(f"own {name} {precision}", f"own:{loop}", precision)
            for precision in self.precisions
            for name, loop in (("4x4", "tutorial"), ("5x5", "generating"))
        ]
        for name, loop in (("one fake", "shipped"), ("batched", "batched")):
            loops.append(Contender(f"deepinv {name}", f"deepinv_loops:{loop}", "fp32", self.deepinv_python))
        return self._contest(loops, setting, found)

    def _contest(self, loops: Sequence[Contender], setting: Setting, found: Found) -> Found:
        rows = contest(loops, setting, self.length)
        known = found.get("peaks", {})
        figures = {row.name: row.figures(known.get(f"convolution {row.precision}")) for row in rows}
        return {
            "batch": setting.batch,
            "rows": figures,
            "ratios": ratios(rows, lambda row: row.median),
            "core_ratios": ratios(rows, lambda row: row.core_median),
        }

    def start(self, found: Found) -> Found:
        """Seconds of commands that only read."""
        return start.commands(self.repeats)

    def quickstart(self, found: Found) -> Found:
        """Seconds to its first step."""
        changes = ("data.source.count=40", "data.holdout=8", "train.batch_size=4") if self.quick else ()
        return start.first_step(1 if self.quick else 3, *changes)

    def preparation(self, found: Found) -> Found:
        """Pictures a second."""
        return use.preparation(self.setting, 32 if self.quick else 1024)

    def use(self, found: Found) -> Found:
        """Seconds of a checkpoint, and of `complete`, at the last of the precisions."""
        return use.trained_run(replace(self.setting, precision=self.precisions[-1]), self.repeats)


PARTS: dict[str, Callable[[Suite, Found], Found | None]] = {
    "peaks": Suite.peaks,
    "completing": Suite.completing,
    "profile": Suite.profile,
    "generating": Suite.generating,
    "start": Suite.start,
    "quickstart": Suite.quickstart,
    "preparation": Suite.preparation,
    "use": Suite.use,
}
SKIPPED = "generating: left out; name a Python that has deepinv with --deepinv-python"


def measure(suite: Suite, chosen: Sequence[str], console: Console) -> Found:
    """The parts that were chosen, each shown as soon as it is there."""
    torch.set_num_threads(suite.setting.threads)
    found: Found = {"machine": machine(suite), "setting": asdict(suite.setting)}
    console.print(found["machine"], found["setting"])
    for name in (part for part in PARTS if part in chosen):
        figures = PARTS[name](suite, found)
        console.print(SKIPPED if figures is None else TABLES[name](name, figures))
        if figures is not None:
            found[name] = figures
    return found


def machine(suite: Suite) -> Found:
    """What the figures depend on besides."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "precisions": list(suite.precisions),
        **asdict(suite.length),
    }


def _processor() -> str:
    """The name that Linux gives it, or what Python knows."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text("utf-8").splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        description=ABOUT,
        prog="python -m benchmarks.training",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", type=names_of(PARTS), default=tuple(PARTS), metavar="A,B", help="parts")
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    _add_sizes(parser)
    _add_lengths(parser)
    parser.add_argument("--deepinv-python", metavar="PYTHON", help="one that has deepinv 0.5.0 and torch")
    return parser


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--generating-batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--size", type=int, default=64, help="side of the pictures, a power of 2")
    parser.add_argument("--threads", type=int, default=1)
    known = names_of(("fp32", "bf16"))
    parser.add_argument("--precisions", type=known, metavar="A,B", help="fp32 and what `auto` is here")


def _add_lengths(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=2, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=15, help="turns of each loop")
    parser.add_argument("--seconds", type=float, default=1800, help="no new round of turns after so many")
    parser.add_argument("--repeats", type=int, default=7, help="of commands and checkpoints")
    parser.add_argument("--quick", action="store_true", help="try everything once; figures mean nothing")


def names_of(known: Sequence[str] | dict[str, Any]) -> Callable[[str], tuple[str, ...]]:
    """A reader of comma-separated names."""

    def names(text: str) -> tuple[str, ...]:
        given = tuple(text.split(","))
        if unknown := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(known)}")
        return given

    return names


def suite_of(given: argparse.Namespace) -> Suite:
    """What the options mean."""
    auto = "bf16" if choose("cpu").bf16 else "fp32"
    return Suite(
        setting=Setting(given.batch, given.width, given.size, given.threads),
        generating_batch=given.generating_batch,
        length=Length(given.steps, given.turns, given.seconds),
        precisions=given.precisions or tuple(dict.fromkeys(("fp32", auto))),
        deepinv_python=given.deepinv_python,
        repeats=given.repeats,
        quick=given.quick,
    )


def main(words: Sequence[str] | None = None) -> None:
    """Print the tables, and write the figures where `--out` says."""
    given = arguments().parse_args(words)
    found = measure(suite_of(given), given.only, Console(width=max(WIDTH, Console().width)))
    if given.out:
        given.out.write_text(json.dumps(found, indent=1), "utf-8")
