"""How long the built-in sensors take: `python benchmarks/sensors.py`.

One table: the median milliseconds of `sample` and `measure` together for a batch of 64 pictures of
3x64x64 on one core, and what that is held to. Sensors made of rectangles, lines and pixels have 5 ms,
strokes and text 25 ms. The others are timed in turn with the plain torch or torchvision operation that
they rest on, and have 3 times its median. Exit code 1 where one takes longer.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional
from torchvision import io

from ambientkit import Context, Engine, Measurement

Work = Callable[[], object]
MOST = 3.0  # times the operation that a sensor rests on

MILLISECONDS = {
    **dict.fromkeys(
        (
            "identity",
            "block_patch",
            "keep_patch",
            "band",
            "observed_square",
            "half",
            "block_pixels",
            "drop_rows",
            "drop_columns",
            "drop_rows_columns",
            "extract_patch",
        ),
        5.0,
    ),
    **dict.fromkeys(("free_form", "text_overlay"), 25.0),
}
"""Budgets of sensors made of rectangles, lines, pixels; of strokes and text."""

NOT_TIMED = {
    "masks_of_data": "needs data that arrive measured",
    "learned_masks": "needs a run that makes masks",
    "mask_from_data": "needs a folder of masks",
    "sequence": "as long as its parts",
}


@dataclass(frozen=True)
class Row:
    """One sensor's figures in milliseconds. `rests_on` is the operation that it was timed with."""

    kind: str
    median: float
    budget: float
    rests_on: str = ""
    ratio: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it stays within its budget."""
        return self.median <= self.budget


# What sensors rest on -----------------------------------------------------------------------------


def _noise(images: Tensor) -> Tensor:
    return images + torch.randn(images.shape)


def _uniforms(images: Tensor) -> Tensor:
    return torch.where(torch.rand(images.shape) < 0.1, 1.0, images)


def _poisson(images: Tensor) -> Tensor:
    return torch.poisson((images + 1) * 15)


def _gamma(images: Tensor) -> Tensor:
    return images * torch._standard_gamma(torch.full_like(images, 4.0))


def _round(images: Tensor) -> Tensor:
    return (images * 8).round() / 8


def _convolution(images: Tensor) -> Tensor:
    """One 15x15 kernel a picture, as a grouped convolution."""
    kernels = torch.ones(len(images), 1, 15, 15)
    return functional.conv2d(images.transpose(0, 1), kernels, padding=7, groups=len(images))


def _blur_and_noise(images: Tensor) -> Tensor:
    blurred = functional.conv2d(
        images, torch.ones(images.shape[1], 1, 5, 5), padding=2, groups=images.shape[1]
    )
    return blurred + torch.randn(images.shape)


def _downsampled(images: Tensor) -> Tensor:
    return functional.interpolate(images, scale_factor=0.5, mode="bilinear", antialias=True)


def _rotated(images: Tensor) -> Tensor:
    """Padded so that nothing rotates out, sampled and summed."""
    padded = functional.pad(images, (14, 14, 14, 14))
    turns = torch.eye(2, 3).expand(len(images), 2, 3)
    grid = functional.affine_grid(turns.contiguous(), list(padded.shape), align_corners=False)
    return functional.grid_sample(padded, grid, align_corners=False).sum(2)


def _spectrum(images: Tensor) -> Tensor:
    return torch.fft.fft2(images, norm="ortho")


def _matrix(images: Tensor) -> Tensor:
    flat = images.flatten(1)
    return flat @ _MATRIX.t()


_MATRIX = torch.randn(3 * 64 * 64 // 10, 3 * 64 * 64) / 35


def _jpeg_files(images: Tensor) -> Tensor:
    pixels = ((images + 1) * 127.5).to(torch.uint8)
    with warnings.catch_warnings():  # torchvision 0.29 announces that its codec will go
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.stack([io.decode_jpeg(io.encode_jpeg(each, quality=50)) for each in pixels])


RESTS_ON: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "gaussian_noise": ("randn, add", _noise),
    "poisson_noise": ("poisson", _poisson),
    "salt_pepper": ("rand, where", _uniforms),
    "speckle": ("gamma, multiply", _gamma),
    "quantise": ("round", _round),
    "jpeg": ("encode_jpeg, decode_jpeg", _jpeg_files),
    "convolve_noise": ("conv2d, randn", _blur_and_noise),
    "motion_blur": ("conv2d, a kernel a picture", _convolution),
    "downsample": ("interpolate, antialiased", _downsampled),
    "pad_rotate_project": ("pad, grid_sample, sum", _rotated),
    "pad_rotate_project_theta": ("pad, grid_sample, sum", _rotated),
    "fourier": ("fft2", _spectrum),
    "compressed_sensing": ("matmul", _matrix),
}


# Timing -------------------------------------------------------------------------------------------


def interleaved(works: list[Work], repeats: int) -> list[float]:
    """Median milliseconds of each, timed in turn so that what else happens here meets all alike."""
    for work in works:
        work()
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for number, work in enumerate(works):
            begun = time.perf_counter()
            work()
            seconds[number].append(time.perf_counter() - begun)
    return [1000 * statistics.median(each) for each in seconds]


def timed(kind: str, sensor: Measurement, images: Tensor, repeats: int) -> Row:
    """The figures of one sensor."""
    shape, generator = tuple(images.shape[1:]), torch.Generator().manual_seed(0)

    def work() -> object:
        return sensor.measure(images, sensor.sample(len(images), shape, generator))

    with torch.no_grad():
        if kind in MILLISECONDS:
            (median,) = interleaved([work], repeats)
            return Row(kind, median, MILLISECONDS[kind])
        name, operation = RESTS_ON[kind]
        median, rests_on = interleaved([work, lambda: operation(images)], repeats)
        return Row(kind, median, MOST * rests_on, name, median / rests_on)


def rows(batch: int, repeats: int) -> list[Row]:
    """One row a built-in sensor that needs no file. Raises KeyError for one without a budget."""
    engine = Engine(discover=False)
    context = Context(image_size=(64, 64), image_shape=(3, 64, 64))
    images = torch.rand(batch, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    kinds = [kind for kind in engine.plugins.registry.names("measurement") if "/" not in kind]
    return [
        timed(kind, engine.build("measurement", kind, context=context), images, repeats)
        for kind in kinds
        if kind not in NOT_TIMED
    ]


def table(found: list[Row]) -> Table:
    """The rows for a terminal."""
    shown = Table("sensor", "ms", "budget", "rests on", "ratio", "")
    for row in found:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        mark = "" if row.kept else "TOO SLOW"
        shown.add_row(row.kind, f"{row.median:.2f}", f"{row.budget:.2f}", row.rests_on, ratio, mark)
    return shown


def main() -> int:
    """Print the table, and write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found = rows(given.batch, given.repeats)
    machine = {"processor": platform.processor(), "torch": torch.__version__, "threads": given.threads}
    Console().print(table(found), machine)
    if given.out:
        figures = {**machine, "batch": given.batch, "rows": [asdict(row) for row in found]}
        given.out.write_text(json.dumps(figures, indent=1), "utf-8")
    return int(not all(row.kept for row in found))


if __name__ == "__main__":
    sys.exit(main())
