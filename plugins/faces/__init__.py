"""Procedural faces: a data set that needs no files, has structure to learn and can be shared freely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from ambientkit import Complaint, Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .dataset import ToyFaces

AMBIENTKIT_HOOK_API = 1
NATURAL_SIZE = (64, 64)
SMALLEST = 16


class ToyFacesOptions(Options):
    """Drawn portraits: symmetric eyes, skin, hair, glasses, beards and light; no files needed.

    Picture i depends on (seed, i) and the size alone, so a larger `count` only adds pictures.
    """

    count: int = Field(2048, ge=1, le=100_000_000)
    """Number of pictures."""
    seed: int = Field(0, ge=0, le=2**63 - 1)
    """Which faces are drawn; another seed gives other people."""

    def facts(self) -> frozenset[str]:
        """Clean pictures."""
        return frozenset({"clean"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Sizes too small to hold a face."""
        size = context.image_size or NATURAL_SIZE
        if min(size) < SMALLEST:
            yield Complaint("", f"a face needs {SMALLEST} pixels or more, not {size[0]} x {size[1]}")


def _build(options: ToyFacesOptions, context: Context) -> ToyFaces:
    from .dataset import ToyFaces

    return ToyFaces(options.count, options.seed, context.image_size or NATURAL_SIZE)


@hookimpl
def register_datasets() -> Iterator[Component]:
    """`toy_faces`."""
    yield Component("toy_faces", ToyFacesOptions, _build)
