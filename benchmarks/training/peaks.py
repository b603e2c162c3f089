"""What the machine can do at best: the yardsticks of every share of a peak.

Convolutions are 3x3 and channels-last, as in the middle of GLCIC's generator; of several shapes the best
median counts. On a GPU batches are larger, since it is not filled before. FLOPs are two a multiply-add,
those at the padding included, as torch counts them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
CONVOLUTIONS = ((16, 256, 16, 1), (64, 256, 16, 1), (16, 256, 16, 2), (16, 128, 32, 1), (16, 64, 64, 1))
"""Batch, channels, side, dilation."""
MATRICES = (1024, 2048)
ON_A_GPU = 16  # times the batch of convolutions; matrices have four times the side
COPIED = 1 << 26  # float32 numbers, 256 MiB: far more than any cache holds
FEWEST, MOST, SECONDS = 3, 200, 1.0  # repeats of each, and how long they may take together

Work = Callable[[], Tensor]


def median_seconds(work: Work, seconds: float = SECONDS) -> float:
    """The median time of `work`, after one for nothing."""
    finish(work())
    times: list[float] = []
    while len(times) < FEWEST or (sum(times) < seconds and len(times) < MOST):
        begun = time.perf_counter()
        finish(work())
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def finish(result: Tensor) -> None:
    """Wait until it is there: a GPU is only asked for it."""
    if result.is_cuda:
        torch.cuda.synchronize(result.device)


def convolutions(precision: str, shrink: int = 1, device: str = "cpu") -> Iterator[tuple[float, Work]]:
    """FLOPs and the work itself, for each shape; `shrink` divides channels, for a quick look."""
    kind = PRECISIONS[precision]
    for few, channels, side, dilation in CONVOLUTIONS:
        wide, batch = channels // shrink, few * (ON_A_GPU if device == "cuda" else 1)
        picture = _random(batch, wide, side, side).to(device, kind, memory_format=torch.channels_last)
        kernel = _random(wide, wide, 3, 3).to(device, kind, memory_format=torch.channels_last)
        work = partial(functional.conv2d, picture, kernel, padding=dilation, dilation=dilation)
        yield 2.0 * 9 * wide**2 * batch * side**2, work


def matrices(precision: str, shrink: int = 1, device: str = "cpu") -> Iterator[tuple[float, Work]]:
    """FLOPs and the work itself, for each size."""
    larger = 4 if device == "cuda" else 1
    for side in (each * larger // shrink for each in MATRICES):
        one, other = (_random(side, side).to(device, PRECISIONS[precision]) for _ in range(2))
        yield 2.0 * side**3, partial(torch.matmul, one, other)


def copies(shrink: int = 1, device: str = "cpu") -> Iterator[tuple[float, Work]]:
    """Bytes read and written, and the work itself."""
    source = torch.zeros(COPIED // shrink**2, device=device).fill_(1.0)
    target = torch.empty_like(source)
    yield 2.0 * source.numel() * source.element_size(), partial(target.copy_, source)


@torch.no_grad()
def best(works: Iterator[tuple[float, Work]], seconds: float = SECONDS) -> float:
    """The most units of work a second."""
    return max(amount / median_seconds(work, seconds) for amount, work in works)


def peaks(
    precisions: list[str], shrink: int = 1, seconds: float = SECONDS, device: str = "cpu"
) -> dict[str, float]:
    """FLOP/s of `matmul fp32`, `convolution fp32` and so on, and `copy` in bytes a second."""
    found = {"copy": best(copies(shrink, device), seconds)}
    for precision in precisions:
        found[f"matmul {precision}"] = best(matrices(precision, shrink, device), seconds)
        found[f"convolution {precision}"] = best(convolutions(precision, shrink, device), seconds)
    return found


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))
