"""Quantiles of the Poisson distribution: counts as a function of a uniform number.

Exact to the rounding of float64: the same integers as `scipy.stats.poisson.ppf`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SMALLEST_RATE = 4.0
"""Below it the expansion is too coarse, and summing is short."""

STRIDE = 4
"""Terms that are summed before the pixels that have their count are left out; 4 was fastest."""

CPU_PIECE = 1 << 17
"""Values worked on at a time on the CPU: what is between then stays in the cache, twice as fast."""

WIDEST_MARGIN = 0.49
"""Where the expansion may be off by more, the nearest integer is not certain to be the only candidate."""


def poisson_quantile(uniform: Tensor, rate: Tensor) -> Tensor:
    """The least count k with P(N <= k) >= uniform, N ~ Poisson(rate); it never falls as `rate` grows.

    Both float64 of one shape, `uniform` in (0, 1) and at least 2^-40 from both ends, `rate` >= 0;
    returns float64 of that shape. NaN rates give NaN.

    The count is floor(x) where x solves Q(x, rate) = uniform, Q the regularised upper incomplete gamma
    function. An expansion gives x; it decides alone except where an integer is within its error, and
    there the distribution function itself decides (Giles, "Algorithm 955", ACM TOMS 2016).
    """
    size = CPU_PIECE if rate.device.type == "cpu" else max(rate.numel(), 1)
    pieces = zip(torch.split(uniform.flatten(), size), torch.split(rate.flatten(), size), strict=True)
    return torch.cat([_quantile(*piece) for piece in pieces]).view_as(rate)


def _quantile(uniform: Tensor, rate: Tensor) -> Tensor:
    """Counts, flat: small rates by one way, the others by another."""
    counts, small = torch.empty_like(rate), rate < SMALLEST_RATE
    for where, quantile in ((small, _by_sum), (~small, _by_expansion)):
        place = _places(where)
        counts.index_copy_(0, place, quantile(*_at(place, uniform, rate)))
    return counts


def _by_expansion(uniform: Tensor, rate: Tensor) -> Tensor:
    """Counts for rates of SMALLEST_RATE and more, flat."""
    guess, margin = _expansion(uniform, rate)
    nearest, counts = guess.round(), guess.floor()
    unsure = _places((guess - nearest).abs() <= margin)
    counts.index_copy_(0, unsure, _at_or_below(*_at(unsure, nearest, uniform, rate)))
    coarse = _places(margin > WIDEST_MARGIN)
    return counts.index_copy_(0, coarse, _by_sum(*_at(coarse, uniform, rate)))


def _expansion(uniform: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
    """x to third order in 1 / sqrt(rate), and a bound of its error.

    With w the normal quantile of `uniform`, the bound is twice the largest error found for |w| <= 5.5 and
    rates from 4 to 10^5.
    """
    w = math.sqrt(2) * torch.erfinv(2 * uniform - 1)
    root, square = rate.sqrt(), w.square()
    guess = rate + root * w + (2 + square) / 6
    guess -= w * (2 + square) / 72 / root
    guess += (square * (3 * square + 7) / 810 - 8 / 405) / rate
    margin = 0.022 * (1 + square.square() * (1 + w.abs())) / (rate * root)
    return guess, margin + 1e-12 * rate


def _at_or_below(boundary: Tensor, uniform: Tensor, rate: Tensor) -> Tensor:
    """`boundary` or the count below it, whichever the distribution function says."""
    below: Tensor = torch.special.gammaincc(boundary, rate)  # P(N <= boundary - 1), 0 where the boundary is 0
    return boundary - (uniform <= below).to(boundary.dtype)


def _by_sum(uniform: Tensor, rate: Tensor) -> Tensor:
    """Counts for small rates, flat: probabilities are summed from 0 up as long as the sum is too small."""
    counts = torch.zeros_like(rate)
    place, count = torch.arange(len(rate), device=rate.device), 0
    chance = (-rate).exp()
    total = chance.clone()
    reached = torch.zeros_like(rate)
    while len(place):
        for _ in range(STRIDE):
            reached += total < uniform
            count += 1
            chance *= rate / count
            total += chance
        counts.index_copy_(0, place, reached)
        more = _places(total < uniform)
        place, uniform, rate, chance, total, reached = _at(more, place, uniform, rate, chance, total, reached)
    return counts


def _places(where: Tensor) -> Tensor:
    """Indices of True in a flat tensor."""
    return where.nonzero().squeeze(1)


def _at(place: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Flat tensors at some indices."""
    return tuple(tensor.index_select(0, place) for tensor in tensors)
