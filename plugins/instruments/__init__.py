"""Measurements of real instruments, from numpy files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ambientkit import Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .dataset import MeasuredArray

AMBIENTKIT_HOOK_API = 1

Size = Annotated[int, Field(ge=1)]


class MeasuredArrayOptions(Options):
    """Measurements of a real instrument from an .npz or .npy file: projections, spectra, vectors, pictures.

    An .npz file has the array `y` (N, ...), and may have `observed` (N, C or 1, H, W) or (N, H, W), bool,
    and what the instrument reported as `known_NAME` (N, ...), such as `known_angle`. An .npy file is `y`
    alone. `y` is in the units of the recipe's sensor for pictures in [-1, 1]; no clean picture is needed.
    """

    file: Path
    """The .npz or .npy file, relative to the working directory."""
    image_shape: tuple[Size, Size, Size] | None = None
    """(C, H, W) of the pictures behind the measurements, which the generator makes; null: as y has it."""
    layout: Literal["channels_first", "channels_last"] = "channels_first"
    """Whether pictures in y are (N, C, H, W) or (N, H, W, C); what is no picture is channels_first."""
    observed: bool = False
    """The file has `observed`, which pixels each measurement shows."""
    value_range: tuple[float, float] | None = None
    """What becomes -1 and 1 of float y, as in [0, 1]; null: y is taken as it is."""

    def facts(self) -> frozenset[str]:
        """It arrives measured, with masks where the options say so."""
        return frozenset({"measured", "observed"} if self.observed else {"measured"})


@hookimpl
def register_datasets() -> Iterable[Component]:
    """Measured arrays."""
    yield Component("measured_array", MeasuredArrayOptions, _measured_array)


def _measured_array(options: MeasuredArrayOptions, context: Context) -> MeasuredArray:
    from .dataset import open_array

    return open_array(options, context.image_size)
