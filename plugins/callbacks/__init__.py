"""Observers of a run: the console, picture grids, a metrics file and TensorBoard."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from ambientkit import Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .console import ConsoleProgress
    from .grid import ImageGrid
    from .jsonl import JsonLines
    from .tensorboard import TensorBoard

AMBIENTKIT_HOOK_API = 1


class _ObserverOptions(Options):
    def facts(self) -> frozenset[str]:
        """An observer promises and needs nothing."""
        return frozenset()


class ConsoleOptions(_ObserverOptions):
    """Progress on the terminal (stderr): step, images a second, time left, terms and figures.

    Where stderr is no terminal, plain lines. Silent where the logger `ambientkit.console` is.
    """

    every: int = Field(10, ge=1)
    """Steps between readings of the terms; each makes the device wait for the step to finish."""


class ImageGridOptions(_ObserverOptions):
    """Pictures of held-out samples: measured, made, completed, and the truth where it is known.

    Written to `samples/step-0000500.png` in the run's folder, at the first and the last step too.
    """

    every: int = Field(500, ge=1)
    """Steps between grids."""
    count: int = Field(8, ge=1)
    """Pictures in a grid, one a row."""


class JsonLinesOptions(_ObserverOptions):
    """Terms and figures in `metrics.jsonl`, one object a line: step, time, and values by name.

    A resumed run goes on where its checkpoint was: later lines of the first attempt are removed.
    """

    every: int = Field(50, ge=1)
    """Steps between lines of terms, besides the first and the last; figures are written as they are taken."""


class TensorBoardOptions(_ObserverOptions):
    """Terms and figures for TensorBoard, in `tensorboard/` of the run's folder (an extra)."""

    every: int = Field(50, ge=1)
    """Steps between values of the terms; figures are written whenever they are taken."""


@hookimpl
def register_callbacks() -> Iterable[Component]:
    """The observers."""
    yield Component("console", ConsoleOptions, _console)
    yield Component("image_grid", ImageGridOptions, _image_grid)
    yield Component("jsonl", JsonLinesOptions, _jsonl)
    yield Component("tensorboard", TensorBoardOptions, _tensorboard)


def _console(options: ConsoleOptions, _context: Context) -> ConsoleProgress:
    from .console import ConsoleProgress

    return ConsoleProgress(options.every)


def _image_grid(options: ImageGridOptions, _context: Context) -> ImageGrid:
    from .grid import ImageGrid

    return ImageGrid(options.every, options.count)


def _jsonl(options: JsonLinesOptions, _context: Context) -> JsonLines:
    from .jsonl import JsonLines

    return JsonLines(options.every)


def _tensorboard(options: TensorBoardOptions, _context: Context) -> TensorBoard:
    from .tensorboard import TensorBoard

    return TensorBoard(options.every)
