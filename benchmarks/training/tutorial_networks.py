"""The DCGAN of the PyTorch tutorial, which is deepinv's: 4x4 kernels, no biases, batch norm in both networks.

A plugin, so that ambientkit can be timed with the networks of the loop that it is compared with. The
discriminator has no sigmoid, since scores are raw here; it costs nothing that can be measured.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ambientkit import Component, Discriminator, Generator, Measured, Options, View, hookimpl
from ambientkit.interfaces import Shape

AMBIENTKIT_HOOK_API = 1
namespace = "tutorial"
LATENT = 100


class NetworkOptions(Options):
    """Networks for 64x64 pictures."""

    width: int = 64
    """Channels next to the picture; they double four times."""

    def facts(self) -> frozenset[str]:
        """What both have."""
        return frozenset({"batch_norm"})


class GeneratorOptions(NetworkOptions):
    """Pictures come from a latent."""

    def facts(self) -> frozenset[str]:
        """No measurement is completed."""
        return super().facts() | {"latent"}


class TutorialGenerator(nn.Module, Generator):
    """Pictures (n, 3, 64, 64) from latents (n, 100)."""

    completes = False

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_up(width))

    def latent_shape(self, image_shape: Shape) -> Shape | None:
        """(100,)."""
        return (LATENT,)

    def forward(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        """In [-1, 1]."""
        assert latent is not None
        pictures: Tensor = self.layers(latent[:, :, None, None])
        return pictures


class TutorialDiscriminator(nn.Module, Discriminator):
    """Scores (n,) of pictures (n, 3, 64, 64)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_down(width))

    def forward(self, view: View) -> Tensor:
        """Raw."""
        scores: Tensor = self.layers(view.y)
        return scores.flatten()


def _up(width: int) -> Iterator[nn.Module]:
    channels = LATENT
    for times, stride, padding in ((8, 1, 0), (4, 2, 1), (2, 2, 1), (1, 2, 1)):
        yield nn.ConvTranspose2d(channels, times * width, 4, stride, padding, bias=False)
        channels = times * width
        yield from (nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
    yield from (nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())


def _down(width: int) -> Iterator[nn.Module]:
    yield from (nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True))
    for times in (1, 2, 4):
        yield nn.Conv2d(times * width, 2 * times * width, 4, 2, 1, bias=False)
        yield from (nn.BatchNorm2d(2 * times * width), nn.LeakyReLU(0.2, inplace=True))
    yield nn.Conv2d(8 * width, 1, 4, bias=False)


@hookimpl
def register_generators() -> Iterator[Component]:
    """The tutorial's generator."""
    yield Component("dcgan", GeneratorOptions, lambda options, _context: TutorialGenerator(options.width))


@hookimpl
def register_discriminators() -> Iterator[Component]:
    """The tutorial's discriminator."""
    yield Component("dcgan", NetworkOptions, lambda options, _context: TutorialDiscriminator(options.width))
