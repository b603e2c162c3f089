"""Sensors that lose where things were: projections along a random direction, and a patch from a random place.

Torch is imported when a sensor is built, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl

from .options import ExtractPatchOptions, PadRotateProjectOptions, PadRotateProjectThetaOptions

if TYPE_CHECKING:
    from .patch import ExtractPatch
    from .radon import PadRotateProject

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """The projecting and cropping sensors."""
    yield Component("pad_rotate_project", PadRotateProjectOptions, _project)
    yield Component("pad_rotate_project_theta", PadRotateProjectThetaOptions, _project_theta)
    yield Component("extract_patch", ExtractPatchOptions, _extract_patch)


def _project(options: PadRotateProjectOptions, _context: Context) -> PadRotateProject:
    from .radon import PadRotateProject

    return PadRotateProject(options.angles, options.air, options.scale)


def _project_theta(options: PadRotateProjectThetaOptions, _context: Context) -> PadRotateProject:
    from .radon import PadRotateProjectTheta

    return PadRotateProjectTheta(options.angles, options.air, options.scale)


def _extract_patch(options: ExtractPatchOptions, _context: Context) -> ExtractPatch:
    from .patch import ExtractPatch

    return ExtractPatch(options.height_width, options.surround if options.pad else None)
