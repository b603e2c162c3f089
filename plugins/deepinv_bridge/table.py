"""Every operator's record, by the class of its options."""

from __future__ import annotations

from collections.abc import Mapping

from . import (
    blur_options,
    blurs,
    channel_options,
    channels,
    mask_options,
    masks,
    noise_options,
    noises,
    projection_options,
    projections,
    resampling,
    resampling_options,
)
from .common_options import DeepinvOptions
from .operator import Law, Mask, Operator

RECORDS: Mapping[type[DeepinvOptions], Operator | Mask | Law] = {
    mask_options.InpaintingOptions: masks.INPAINTING,
    mask_options.InpaintingGaussianOptions: masks.INPAINTING_GAUSSIAN,
    mask_options.DemosaicingOptions: masks.DEMOSAICING,
    blur_options.BlurGaussianOptions: blurs.BLUR_GAUSSIAN,
    blur_options.BlurMotionOptions: blurs.BLUR_MOTION,
    blur_options.BlurDiffractionOptions: blurs.BLUR_DIFFRACTION,
    blur_options.BlurFftOptions: blurs.BLUR_FFT,
    blur_options.SpaceVaryingBlurOptions: blurs.SPACE_VARYING_BLUR,
    blur_options.TiledBlurOptions: blurs.TILED_BLUR,
    resampling_options.DownsamplingOptions: resampling.DOWNSAMPLING,
    resampling_options.DownsamplingRandomOptions: resampling.DOWNSAMPLING_RANDOM,
    resampling_options.DownsamplingMatlabOptions: resampling.DOWNSAMPLING_MATLAB,
    resampling_options.UpsamplingOptions: resampling.UPSAMPLING,
    channel_options.DecolorizeOptions: channels.DECOLORIZE,
    channel_options.PansharpenOptions: channels.PANSHARPEN,
    channel_options.HyperspectralUnmixingOptions: channels.HYPERSPECTRAL_UNMIXING,
    channel_options.SpectralImagingOptions: channels.SPECTRAL_IMAGING,
    channel_options.HazeOptions: channels.HAZE,
    channel_options.SpatialUnwrappingOptions: channels.SPATIAL_UNWRAPPING,
    projection_options.TomographyOptions: projections.TOMOGRAPHY,
    projection_options.TomographyFanOptions: projections.TOMOGRAPHY_FAN,
    projection_options.CompressedSensingOptions: projections.COMPRESSED_SENSING,
    projection_options.StructuredRandomOptions: projections.STRUCTURED_RANDOM,
    projection_options.SinglePixelCameraOptions: projections.SINGLE_PIXEL_CAMERA,
    projection_options.MriOptions: projections.MRI_COLUMNS,
    projection_options.PhaseRetrievalOptions: projections.PHASE_RETRIEVAL,
    projection_options.PhaseRetrievalStructuredOptions: projections.PHASE_RETRIEVAL_STRUCTURED,
    projection_options.PtychographyOptions: projections.PTYCHOGRAPHY,
    projection_options.ScatteringOptions: projections.SCATTERING,
    noise_options.GaussianNoiseOptions: noises.GAUSSIAN,
    noise_options.UniformGaussianNoiseOptions: noises.UNIFORM_GAUSSIAN,
    noise_options.UniformNoiseOptions: noises.UNIFORM,
    noise_options.LaplaceNoiseOptions: noises.LAPLACE,
    noise_options.RicianNoiseOptions: noises.RICIAN,
    noise_options.SaltPepperNoiseOptions: noises.SALT_PEPPER,
    noise_options.PoissonNoiseOptions: noises.POISSON,
    noise_options.PoissonGaussianNoiseOptions: noises.POISSON_GAUSSIAN,
    noise_options.LogPoissonNoiseOptions: noises.LOG_POISSON,
    noise_options.GammaNoiseOptions: noises.GAMMA,
    noise_options.FisherTippettNoiseOptions: noises.FISHER_TIPPETT,
}
