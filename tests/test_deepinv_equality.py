"""deepinv's operators through the bridge equal deepinv's own, and the built-in sensors of the same kind."""

from __future__ import annotations

import math

import pytest
import torch
from deepinv_cases import COLOUR, SQUARE, built, gen, needs_deepinv, pictures, unit

# Equal to deepinv -------------------------------------------------------------------------------


@needs_deepinv
def test_inpainting_is_deepinvs():
    from deepinv.physics import Inpainting

    sensor, images = built("inpainting"), pictures(50)
    theta = sensor.sample(50, COLOUR, gen())
    expected = 2 * Inpainting(COLOUR, mask=theta["mask"].float()).A(unit(images)) - 1
    assert torch.allclose(sensor.measure(images, theta), expected, atol=1e-6)
    assert abs(theta["mask"].float().mean() - 0.5) < 5 * 0.5 / math.sqrt(theta["mask"].numel())


@needs_deepinv
def test_demosaicing_is_deepinvs():
    from deepinv.physics import Demosaicing

    sensor, images = built("demosaicing"), pictures(3, (3, 8, 10))
    theta = sensor.sample(3, (3, 8, 10), gen())
    expected = 2 * Demosaicing((3, 8, 10)).A(unit(images)) - 1
    assert torch.allclose(sensor.measure(images, theta), expected, atol=1e-6)


@needs_deepinv
@pytest.mark.parametrize(
    ("kind", "options", "own"),
    [
        ("blur_gaussian", {"size": 5}, lambda d, t: d.Blur(t["filter"], padding="reflect")),
        ("blur_fft", {"size": 5}, lambda d, t: d.BlurFFT(COLOUR, filter=t["filter"])),
        ("downsampling", {}, lambda d, t: d.Downsampling(COLOUR, filter="bicubic", factor=2)),
        ("downsampling_matlab", {}, lambda d, t: d.DownsamplingMatlab(factor=2)),
        ("upsampling", {}, lambda d, t: d.Upsampling((2, 16, 20), filter="bilinear", factor=2)),
    ],
)
def test_pictures_are_deepinvs_on_zero_to_one(kind, options, own):
    import deepinv

    sensor, images = built(kind, **options), pictures()
    theta = sensor.sample(4, COLOUR, gen())
    expected = 2 * own(deepinv.physics, theta).A(unit(images)) - 1
    assert torch.allclose(sensor.measure(images, theta), expected, atol=1e-5)


@needs_deepinv
@pytest.mark.parametrize(
    ("kind", "options", "own"),
    [
        ("tomography", {"angles": 4, "normalize": False}, lambda d: d.Tomography(4, 8, normalize=False)),
        ("compressed_sensing", {"rows": 9}, lambda d: d.CompressedSensing(9, SQUARE, True, rng=gen())),
        ("single_pixel_camera", {"shots": 9}, lambda d: d.SinglePixelCamera(9, SQUARE)),
        ("structured_random", {"size": 5}, lambda d: d.StructuredRandom(SQUARE, (2, 5, 5), rng=gen())),
    ],
)
def test_other_measurements_are_deepinvs_in_its_units(kind, options, own):
    import deepinv

    sensor, images = built(kind, **options), pictures(4, SQUARE)
    expected = own(deepinv.physics).A(unit(images))
    assert torch.allclose(sensor.measure(images, {}), expected, atol=1e-5)


@needs_deepinv
def test_pansharpen_rearranges_deepinvs_two_pictures():
    from deepinv.physics import Pansharpen

    sensor, images = built("pansharpen", factor=2), pictures()
    small, grey = Pansharpen(COLOUR, factor=2).A(unit(images))
    y = unit(sensor.measure(images, {}))
    assert torch.allclose(y[:, :2], small, atol=1e-6)
    assert torch.allclose(torch.nn.functional.pixel_shuffle(y[:, 2:], 2), grey, atol=1e-6)


@needs_deepinv
@pytest.mark.parametrize(
    ("kind", "options", "own", "scale"),
    [
        ("gaussian_noise", {"sigma": 0.2}, lambda d: d.GaussianNoise(0.2), 1),
        ("uniform_noise", {"amplitude": 0.3}, lambda d: d.UniformNoise(0.3), 1),
        ("uniform_gaussian_noise", {"sigma": (0.1, 0.3)}, lambda d: d.UniformGaussianNoise(0.1, 0.3), 40),
        ("laplace_noise", {"scale": 0.2}, lambda d: d.LaplaceNoise(0.2), 1),
        ("rician_noise", {"sigma": 0.2}, lambda d: d.RicianNoise(0.2), 1),
        ("salt_pepper_noise", {"salt": 0.2, "pepper": 0.1}, lambda d: d.SaltPepperNoise(0.1, 0.2), 1),
        ("poisson_noise", {"gain": 0.1}, lambda d: d.PoissonNoise(0.1), 1),
        ("poisson_gaussian_noise", {"sigma": 0.1}, lambda d: d.PoissonGaussianNoise(0.1, 0.1), 1),
        ("log_poisson_noise", {"counts": 64}, lambda d: d.LogPoissonNoise(64.0, 1.0), 1),
        ("gamma_noise", {"looks": 3}, lambda d: d.GammaNoise(3.0), 1),
        ("fisher_tippett_noise", {"looks": 3}, lambda d: d.FisherTippettNoise(3.0), 1),
    ],
)
def test_noise_has_deepinvs_moments(kind, options, own, scale):
    import deepinv

    sensor, shape = built(kind, **options), (1, 8, 8)
    grey = torch.full((1000, *shape), -0.4)  # 0.3 of [0, 1]
    ours = unit(sensor.measure(grey, sensor.sample(1000, shape, gen()))).double()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        theirs = own(deepinv.physics)(unit(grey)).double()
    error = 6 * theirs.std() * math.sqrt(2 / theirs.numel())
    assert abs(ours.mean() - theirs.mean()) < error
    assert abs(ours.std() / theirs.std() - 1) < scale * 0.02
    assert abs(((ours - ours.mean()) ** 3).mean() - ((theirs - theirs.mean()) ** 3).mean()) < 0.01


# Equal to the built-ins -------------------------------------------------------------------------


@needs_deepinv
def test_inpainting_equals_block_pixels():
    from ambientkit_plugins.dropout.sensors import BlockPixels

    sensor, images = built("inpainting"), pictures()
    theta = sensor.sample(4, COLOUR, gen())
    ours = BlockPixels(0.5, fill=-1.0).measure(images, {"kept": theta["mask"]})
    assert torch.equal(sensor.measure(images, theta), ours)


@needs_deepinv
def test_blur_equals_convolve_noise():
    from ambientkit_plugins.optics.blur import ConvolveNoise, gaussian_profile
    from ambientkit_plugins.optics.border import Border
    from deepinv.physics.functional import gaussian_blur

    images = pictures(4, (3, 12, 14))
    sensor = built("blur_gaussian", size=5, padding="zeros")
    kernels = gaussian_blur((5, 5), (1.0, 1.0)).expand(4, 1, 5, 5)
    # deepinv pads with 0 of [0, 1], which is black.
    ours = ConvolveNoise(gaussian_profile(5, 1.0), 0.0, Border("zero", -1.0)).measure(images, {})
    assert torch.allclose(sensor.measure(images, {"filter": kernels}), ours, atol=1e-5)


@needs_deepinv
def test_matlab_downsampling_equals_downsample_inside():
    from ambientkit_plugins.optics.downsample import Downsample

    images = pictures(4, (3, 24, 28))
    theirs = built("downsampling_matlab").measure(images, {})
    ours = Downsample(2, "bicubic").measure(images, {})
    inside = (..., slice(3, -3), slice(3, -3))  # edges: mirrored there, cut off here
    assert torch.allclose(theirs[inside], ours[inside], atol=1e-5)


@needs_deepinv
@pytest.mark.parametrize("size", [(8, 12), (7, 9)])
def test_mri_equals_fourier(size):
    from ambientkit_plugins.spectral.fourier import Fourier

    images = pictures(4, (1, *size))
    columns = torch.rand(4, size[1], generator=gen()) < 0.5
    theirs = built("mri").measure(images, {"columns": columns})
    ours = Fourier().measure(unit(images), {"lines": columns})
    assert torch.allclose(theirs, ours, atol=1e-5)


@needs_deepinv
def test_tomography_at_angle_zero_equals_pad_rotate_project():
    from ambientkit_plugins.projections.radon import PadRotateProject

    images = pictures(4, (2, 8, 8))
    theirs = built("tomography", angles=1, normalize=False).measure(images, {})[..., 0]
    ours = PadRotateProject().measure(images, {"angle": torch.zeros(4, 1)})[..., 0, :]
    columns = unit(images).sum(-2)
    for projected in (theirs, ours):
        margin = (projected.shape[-1] - 8 + 1) // 2
        assert torch.allclose(projected[..., margin : margin + 8], columns, atol=1e-4)


@needs_deepinv
def test_gaussian_noise_equals_the_built_in_one():
    from ambientkit_plugins.noise.sensors import GaussianNoise

    images = pictures()
    normal = torch.randn(4, *COLOUR, generator=gen())
    theirs = built("gaussian_noise").measure(images, {"sigma": torch.full((4,), 0.1), "normal": normal})
    ours = GaussianNoise(0.2, 0.2).measure(images, {"noise": 0.2 * normal})
    assert torch.allclose(theirs, ours, atol=1e-6)


@needs_deepinv
def test_poisson_noise_equals_the_built_in_one():
    from ambientkit_plugins.noise.sensors import PoissonNoise

    images, sensor = pictures(), built("poisson_noise", gain=0.1)
    theta = sensor.sample(4, COLOUR, gen())
    ours = PoissonNoise(10.0, 0.0).measure(images, {"uniform": theta["uniform"]})
    assert torch.allclose(sensor.measure(images, theta), ours, atol=1e-5)


@needs_deepinv
def test_adjoints_fit():
    sensor = built("tomography", angles=5)
    x, shape = pictures(3, SQUARE).requires_grad_(), sensor.measured_shape(SQUARE)
    v = torch.randn(3, *shape, generator=gen())
    (backward,) = torch.autograd.grad((sensor.measure(x, {}) * v).sum(), x)
    physics = sensor.physics_for(x.detach())
    assert torch.allclose(2 * backward, physics.A_adjoint(v), atol=1e-4)
