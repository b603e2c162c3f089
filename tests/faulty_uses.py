"""Faulty sensors that hide, differentiate, report, copy or draw otherwise than they promise."""

from __future__ import annotations

import threading

import torch
from faulty_sensors import SHAPE, Noisy, Rounded, Rows, Speckled, Window
from torch.nn.functional import conv2d

from ambientkit import Measurement
from ambientkit.errors import DataError

# Observed ---------------------------------------------------------------------------------------


class MaskOfFloats(Noisy):
    def observed(self, theta, image_shape):
        return torch.ones_like(theta["noise"])


class MaskWithoutChannel(Noisy):
    def observed(self, theta, image_shape):
        return theta["noise"][:, 0] < 10


class ObservesWhatIsCropped(Noisy):
    """y has lost a column, so that `observed` points to other pixels."""

    pixelwise = False
    symmetric = frozenset()

    def measured_shape(self, image_shape):
        return (*image_shape[:2], image_shape[2] - 1)

    def measure(self, images, theta):
        return super().measure(images, theta)[..., 1:]

    def observed(self, theta, image_shape):
        return theta["noise"] < 10


class RescaledIsExact(Speckled):
    """AmbientGAN's rescaling by 1 / (1 - p), which is not exact."""

    def measure(self, images, theta):
        return torch.where(theta["kept"], images / 0.6, self.fill)


class ExactWithoutObserved(Noisy):
    exact = True


class OtherFill(Speckled):
    def measure(self, images, theta):
        return torch.where(theta["kept"], images, 0.5)


class FillWithoutObserved(Noisy):
    fill = 0.0


class MultipliesTheMask(Speckled):
    """NaN times 0 is NaN."""

    def measure(self, images, theta):
        kept = theta["kept"].to(images.dtype)
        return images * kept + self.fill * (1 - kept)


class FaintlyThere(Speckled):
    """Hidden pixels are dark, but not gone."""

    fill = None

    def measure(self, images, theta):
        return torch.where(theta["kept"], images, images * 0.01)


class FaintlyThereUnderBlur(FaintlyThere):
    exact = False
    pixelwise = False

    def measure(self, images, theta):
        kernel = images.new_ones(images.shape[1], 1, 3, 3) / 9
        blurred = conv2d(images, kernel, padding=1, groups=images.shape[1])
        return torch.where(theta["kept"], blurred, blurred * 0.01)


# Gradients --------------------------------------------------------------------------------------


class StraightThroughIsExact(Rounded):
    gradient = "exact"


class RoundingIsExact(Noisy):
    """Its derivative is 0: exact, but nothing can be learnt through it."""

    def measure(self, images, theta):
        return torch.round(super().measure(images, theta) * 4) / 4


class DetachedIsExact(Noisy):
    def measure(self, images, theta):
        return super().measure(images.detach(), theta)


class SinglePrecisionIsExact(Noisy):
    """Computes in float32 whatever it is given."""

    def measure(self, images, theta):
        return super().measure(images.float(), theta).to(images.dtype)


class SurrogateIsMissing(Rounded):
    def measure(self, images, theta):
        return torch.round(images * 4) / 4


class SurrogateIsDetached(Rounded):
    def measure(self, images, theta):
        return (torch.round(images * 4) / 4).detach()


class SurrogateIsNaN(Rounded):
    def measure(self, images, theta):
        return super().measure(images, theta) + 0 * torch.sqrt((images - images).square())


class GradientAfterAll(Noisy):
    gradient = "none"
    gradient_reason = "somebody thought so"


# Known ------------------------------------------------------------------------------------------


class KnownIsATensor(Rows):
    def known(self, theta):
        return theta["across"]


class KnownIsOfOnePicture(Rows):
    def known(self, theta):
        return {"across": theta["across"][:1]}


class KnowsTheNoise(Noisy):
    def known(self, theta):
        return dict(theta)


class LendsItsTable(Measurement):
    """Theta is a view of the sensor's own table, and so is what it reports."""

    random = False
    pixelwise = True

    def __init__(self):
        self.gains = torch.full((100_000, 1, 1, 1), 0.5)

    def sample(self, n, image_shape, generator):
        return {"gain": self.gains[:n].to(generator.device)}

    def measure(self, images, theta):
        return images * theta["gain"].to(images.dtype)

    def known(self, theta):
        return dict(theta)


# Use --------------------------------------------------------------------------------------------


class NormalisesTheBatch(Rounded):
    gradient = "exact"
    pixelwise = False

    def measure(self, images, theta):
        return images - images.mean((0, 1, 2, 3), keepdim=True)


class ObservedOfTheBatch(Noisy):
    """One picture's mask depends on another's."""

    def observed(self, theta, image_shape):
        return theta["noise"] < theta["noise"].amax(0, keepdim=True) + (len(theta["noise"]) > 1)


class RaggedTheta(Speckled):
    """As many holes as are drawn: draws cannot be joined."""

    def sample(self, n, image_shape, generator):
        drawn = super().sample(n, image_shape, generator)
        count = int(torch.randint(1, 5, (), generator=generator, device=generator.device))
        return drawn | {"holes": torch.zeros(n, count, device=generator.device)}


class GoesByOrder(Noisy):
    def sample(self, n, image_shape, generator):
        return super().sample(n, image_shape, generator) | {
            "offset": torch.zeros(n, 1, 1, 1, device=generator.device)
        }

    def measure(self, images, theta):
        noise, offset = theta.values()
        return images + noise.to(images.dtype) - 2 * offset.to(images.dtype)


class Views(Noisy):
    def measure(self, images, theta):
        flat = images.view(len(images), -1)
        return (flat + theta["noise"].flatten(1).to(images.dtype)).view(images.shape)


class HoldsALambda(Noisy):
    def __init__(self):
        self.scale = lambda images: images * 0.5

    def measure(self, images, theta):
        return self.scale(images) + theta["noise"].to(images.dtype)


class HoldsALock(Rows):
    def __init__(self):
        self.lock = threading.Lock()


class ForgetsWhenCopied(Noisy):
    gain = 1.0

    def __init__(self):
        self.gain = 0.5

    def __getstate__(self):
        return {}

    def measure(self, images, theta):
        return super().measure(images * self.gain, theta)


class FixedSize(Noisy):
    def sample(self, n, image_shape, generator):
        return super().sample(n, SHAPE, generator)


class ThreeChannels(Noisy):
    def measure(self, images, theta):
        weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        return super().measure(images * weights.expand(1, images.shape[1], 1, 1), theta)


class RefusesWithoutAWord(Noisy):
    def sample(self, n, image_shape, generator):
        if image_shape[0] == 4:
            raise DataError("")
        return super().sample(n, image_shape, generator)


# Devices ----------------------------------------------------------------------------------------


class DrawsOnTheCPU(Noisy):
    def sample(self, n, image_shape, generator):
        return {"noise": 0.1 * torch.randn(n, *image_shape, generator=generator)}


class MasksOnTheCPU(Window):
    def observed(self, theta, image_shape):
        rows = torch.arange(image_shape[1]) - theta["top"][:, None]
        return ((rows >= 0) & (rows < 6))[:, None, :, None].expand(-1, 1, -1, image_shape[2])


class KnownOnTheCPU(Rows):
    def known(self, theta):
        return {"across": torch.zeros(len(theta["across"]))}


class LooksAtValuesOnTheCPU(Noisy):
    """Fails with values on a GPU alone; without values nobody can tell."""

    def measure(self, images, theta):
        if images.abs().max().item() > 10**6:
            return images
        return super().measure(images, {"noise": theta["noise"].cpu()})


# Laws -------------------------------------------------------------------------------------------


class LastRowIsNeverSeen(Window):
    """The upper end of randint is left out, and one more is subtracted."""

    last = 0


class DeadPixel(Speckled):
    symmetric = frozenset()

    def sample(self, n, image_shape, generator):
        kept = super().sample(n, image_shape, generator)["kept"]
        dead = torch.arange(kept[0].numel(), device=kept.device).view(kept.shape[1:]) == 23
        return {"kept": kept & ~dead}


class LeftIsWorse(Speckled):
    def sample(self, n, image_shape, generator):
        drawn = torch.rand(n, 1, *image_shape[1:], generator=generator, device=generator.device)
        return {"kept": drawn < torch.linspace(0.5, 0.7, image_shape[2], device=generator.device)}


class NoiseGrowsToTheRight(Noisy):
    def measure(self, images, theta):
        grows = torch.linspace(0.8, 1.2, images.shape[-1], device=images.device)
        return super().measure(images, {"noise": theta["noise"] * grows})


class DiagonalScratches(Speckled):
    """Every pixel is hidden as often as any other, but always along one diagonal."""

    def sample(self, n, image_shape, generator):
        height, width = image_shape[1:]
        period = 10
        start = torch.randint(period, (n, 1, 1, 1), generator=generator, device=generator.device)
        rows = torch.arange(height, device=generator.device)[:, None]
        columns = torch.arange(width, device=generator.device)
        return {"kept": (rows - columns + start) % period != 0}


class ReportsACorner(Noisy):
    """The mirrored picture has its shade on the other side, which `known` still calls by the old one."""

    pixelwise = False

    def sample(self, n, image_shape, generator):
        left = torch.randint(2, (n,), generator=generator, device=generator.device).bool()
        return super().sample(n, image_shape, generator) | {"left": left}

    def measure(self, images, theta):
        place = torch.linspace(-1, 1, images.shape[-1], device=images.device, dtype=images.dtype)
        side = torch.where(theta["left"][:, None, None, None], -place, place)
        return super().measure(images + side, theta)

    def known(self, theta):
        return {"left": theta["left"]}


class SumsMirrored(Rows):
    symmetric = frozenset({"flip"})
