"""A discriminator for measurements that are no pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ambientkit import Component, Context, Options, hookimpl
from ambientkit.errors import PluginError

if TYPE_CHECKING:
    from .network import MlpDiscriminator

AMBIENTKIT_HOOK_API = 1


class MlpOptions(Options):
    """Fully connected layers over any measurement, laid out flat, and over what the instrument reports.

    For projections, spectra and vectors, where neighbours in y are no neighbours in a picture. AmbientGAN
    used widths 25, 25 for its 1-D projections.
    """

    widths: tuple[Annotated[int, Field(ge=1)], ...] = (256, 256)
    """Width of each hidden layer; none makes the scores linear in the measurement."""
    known: bool = True
    """Show it what the instrument reports, such as an angle; without, fakes are judged apart from it."""
    spectral_norm: bool = False
    """Divide each layer's weights by their largest singular value (Miyato et al. 2018)."""

    def facts(self) -> frozenset[str]:
        """It has no norm."""
        return frozenset()


@hookimpl
def register_discriminators() -> Iterable[Component]:
    """The fully connected discriminator."""
    yield Component("mlp", MlpOptions, _mlp)


def _mlp(options: MlpOptions, context: Context) -> MlpDiscriminator:
    from .network import MlpDiscriminator

    shape = context.measured_shape or context.image_shape
    if shape is None:
        raise PluginError("mlp: the measurement's shape is not known; build it with measured_shape=(...)")
    return MlpDiscriminator(
        shape,
        context.known_shapes if options.known else {},
        widths=options.widths,
        spectral_norm=options.spectral_norm,
    )
