"""The name of each of deepinv's operators in recipes, after `deepinv/`, with its options."""

from __future__ import annotations

from collections.abc import Mapping

from . import (
    blur_options,
    channel_options,
    mask_options,
    noise_options,
    projection_options,
    resampling_options,
)
from .common_options import DeepinvOptions

KINDS: Mapping[str, type[DeepinvOptions]] = {
    "inpainting": mask_options.InpaintingOptions,
    "inpainting_gaussian": mask_options.InpaintingGaussianOptions,
    "demosaicing": mask_options.DemosaicingOptions,
    "blur_gaussian": blur_options.BlurGaussianOptions,
    "blur_motion": blur_options.BlurMotionOptions,
    "blur_diffraction": blur_options.BlurDiffractionOptions,
    "blur_fft": blur_options.BlurFftOptions,
    "space_varying_blur": blur_options.SpaceVaryingBlurOptions,
    "tiled_blur": blur_options.TiledBlurOptions,
    "downsampling": resampling_options.DownsamplingOptions,
    "downsampling_random": resampling_options.DownsamplingRandomOptions,
    "downsampling_matlab": resampling_options.DownsamplingMatlabOptions,
    "upsampling": resampling_options.UpsamplingOptions,
    "decolorize": channel_options.DecolorizeOptions,
    "pansharpen": channel_options.PansharpenOptions,
    "hyperspectral_unmixing": channel_options.HyperspectralUnmixingOptions,
    "spectral_imaging": channel_options.SpectralImagingOptions,
    "haze": channel_options.HazeOptions,
    "spatial_unwrapping": channel_options.SpatialUnwrappingOptions,
    "tomography": projection_options.TomographyOptions,
    "tomography_fan": projection_options.TomographyFanOptions,
    "compressed_sensing": projection_options.CompressedSensingOptions,
    "structured_random": projection_options.StructuredRandomOptions,
    "single_pixel_camera": projection_options.SinglePixelCameraOptions,
    "mri": projection_options.MriOptions,
    "phase_retrieval": projection_options.PhaseRetrievalOptions,
    "phase_retrieval_structured": projection_options.PhaseRetrievalStructuredOptions,
    "ptychography": projection_options.PtychographyOptions,
    "scattering": projection_options.ScatteringOptions,
    "gaussian_noise": noise_options.GaussianNoiseOptions,
    "uniform_gaussian_noise": noise_options.UniformGaussianNoiseOptions,
    "uniform_noise": noise_options.UniformNoiseOptions,
    "laplace_noise": noise_options.LaplaceNoiseOptions,
    "rician_noise": noise_options.RicianNoiseOptions,
    "salt_pepper_noise": noise_options.SaltPepperNoiseOptions,
    "poisson_noise": noise_options.PoissonNoiseOptions,
    "poisson_gaussian_noise": noise_options.PoissonGaussianNoiseOptions,
    "log_poisson_noise": noise_options.LogPoissonNoiseOptions,
    "gamma_noise": noise_options.GammaNoiseOptions,
    "fisher_tippett_noise": noise_options.FisherTippettNoiseOptions,
}


def name_of(options: DeepinvOptions) -> str:
    """The name of an operator in recipes."""
    return next(f"deepinv/{kind}" for kind, cls in KINDS.items() if cls is type(options))
