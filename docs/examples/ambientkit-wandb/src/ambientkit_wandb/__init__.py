"""Weights & Biases for ambientkit's runs. `wandb` is imported when the observer is built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from ambientkit import Component, Context, Options, hookimpl
from pydantic import Field

if TYPE_CHECKING:
    from .observer import WandbLog

AMBIENTKIT_HOOK_API = 1
namespace = "wandb"  # as when installed, where a test hands this module to Engine(plugins=[...])


class WandbLogOptions(Options):
    """Logs terms, figures and picture grids to Weights & Biases (an account, or `mode: offline`).

    With `mode: online`, the recipe, the terms and pictures of held-out samples leave this computer.
    """

    project: str = Field("ambientkit", min_length=1, max_length=128)
    """Project that the run appears in."""
    entity: str | None = None
    """User or team that owns the project; null is wandb's default."""
    mode: Literal["online", "offline", "disabled"] = "online"
    """`offline` writes into the run's folder alone, for `wandb sync`; `disabled` does nothing."""
    every: int = Field(50, ge=1)
    """Steps between values of the terms; each makes the device wait for the step to finish."""
    pictures_every: int = Field(500, ge=1)
    """Steps between grids of pictures."""
    pictures: int = Field(8, ge=0, le=64)
    """Pictures in a grid, one a row; 0 sends none."""

    def facts(self) -> frozenset[str]:
        """An observer promises and needs nothing."""
        return frozenset()


@hookimpl
def register_callbacks() -> Iterable[Component]:
    """The observer."""
    yield Component("log", WandbLogOptions, _log)


def _log(options: WandbLogOptions, _context: Context) -> WandbLog:
    from .observer import WandbLog

    return WandbLog(options)
