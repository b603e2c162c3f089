"""What a sensor shows of a picture: how often, how much, in which shapes, and what at the same time.

A *site* is an entry of `observed`: a pixel, or a pixel of one channel where channels are hidden apart.
Everything here is an estimate from draws, and no more certain than their number allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ambientkit.interfaces import Shape
from ambientkit.streams import stream

SITES = 4096  # sites whose joint behaviour is looked at: 64 x 64 pixels
BLOCK = 1024  # columns of the matrix of pairs made at a time
TOLD = 25.0  # draws in which an event was expected before its absence means anything: e^-25 is 1e-11
SIGMAS = 6.5  # Chernoff: exp(-6.5^2 / 2) is below 1e-9, so 4096 sites of equal law hardly exceed it
ALPHA = 1e-6  # two-sided level of the Kolmogorov-Smirnov distance

Place = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Masks:
    """What n draws of `observed`, (c, H, W) each, were like.

    `seen` int64 (c, H, W): in how many draws a site was observed; `whole`: draws that showed
    everything; `hidden`: share hidden of each draw; `across`, `down`: its longest hidden run of
    pixels in a row, in a column. `sites` are flat indices of the sites whose draws are kept, in
    `kept`, bool (n, sites): all, or SITES of them where there are more.
    """

    n: int
    seen: Tensor
    whole: int
    hidden: Tensor
    across: Tensor
    down: Tensor
    sites: Tensor
    kept: Tensor

    @property
    def rate(self) -> Tensor:
        """Share of draws that observed a site, float64 (c, H, W)."""
        return self.seen.double() / self.n

    def place(self, site: int) -> Place:
        """(row, column) of a site by its flat index, with the channel before it where there are several."""
        place = tuple(int(i) for i in np.unravel_index(site, tuple(self.seen.shape)))
        return place[1:] if self.seen.shape[0] == 1 else place


def choose_sites(shape: Shape, seed: int) -> Tensor:
    """Flat indices of at most SITES sites of `observed` (c, H, W), sorted: the corners and a random rest."""
    count = math.prod(shape)
    if count <= SITES:
        return torch.arange(count)
    index = torch.arange(count).view(*shape)
    corners = index[:, [0, 0, -1, -1], [0, -1, 0, -1]].flatten()
    rest = torch.randperm(count, generator=stream(seed, "inspect sites"))
    rest = rest[~torch.isin(rest, corners)]
    return torch.cat([corners, rest])[:SITES].sort().values


def collect(chunks: Iterable[Tensor], seed: int) -> Masks | None:
    """Statistics of draws of `observed`, bool (n, c, H, W) a chunk on the CPU; None where there are none."""
    parts: list[Masks] = []
    sites: Tensor | None = None
    for chunk in chunks:
        sites = choose_sites(tuple(chunk.shape[1:]), seed) if sites is None else sites
        parts.append(_of_chunk(chunk, sites))
    return _joined(parts) if parts else None


def _of_chunk(observed: Tensor, sites: Tensor) -> Masks:
    flat = observed.flatten(1)
    hidden = ~observed.all(1)
    return Masks(
        n=len(observed),
        seen=observed.sum(0),
        whole=int(flat.all(1).sum()),
        hidden=1 - flat.sum(1).double() / flat.shape[1],
        across=_longest_run(hidden),
        down=_longest_run(hidden.mT),
        sites=sites,
        kept=flat[:, sites],
    )


def _longest_run(hidden: Tensor) -> Tensor:
    """Longest run of True along the last axis of bool (n, H, W), int (n,)."""
    place = torch.arange(hidden.shape[-1], dtype=torch.int32)
    last_seen = torch.where(hidden, -1, place).cummax(-1).values
    return (place - last_seen).amax((-2, -1))


def _joined(parts: list[Masks]) -> Masks:
    return Masks(
        n=sum(part.n for part in parts),
        seen=torch.stack([part.seen for part in parts]).sum(0),
        whole=sum(part.whole for part in parts),
        hidden=torch.cat([part.hidden for part in parts]),
        across=torch.cat([part.across for part in parts]),
        down=torch.cat([part.down for part in parts]),
        sites=parts[0].sites,
        kept=torch.cat([part.kept for part in parts]),
    )


# Pairs ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """Pairs of sites that are observed at times, but never in one draw.

    `sites` of `of` were compared. `never` pairs were not seen together; `told` of them would have
    been, in TOLD draws or more, were their sites independent: the others may be chance. `nearest`
    are the told ones closest together. `rarest` is the smallest share of draws that showed a pair
    of sites which are seen at all.
    """

    sites: int
    of: int
    never: int
    told: int
    nearest: tuple[tuple[Place, Place], ...]
    rarest: float


def pairs(masks: Masks, count: int = 3) -> Pairs:
    """What is never observed together, by counting: M^T M over the draws."""
    rate = masks.rate.flatten()[masks.sites]
    never, told, rarest = 0, 0, 1.0
    found: list[tuple[float, int, int]] = []
    for start, together in _observed_together(masks.kept):
        upper = torch.ones_like(together, dtype=torch.bool).triu(1)
        expected = rate[start : start + BLOCK, None] * rate[start:]
        possible = upper & (expected > 0)
        if bool(possible.any()):
            rarest = min(rarest, float(together[possible].min()) / masks.n)
        absent = possible & (together == 0)
        sure = absent & (expected * masks.n >= TOLD)
        never += int(absent.sum())
        told += int(sure.sum())
        found += _nearest(masks, sure, start, count)
    near = tuple((masks.place(one), masks.place(other)) for _, one, other in sorted(found)[:count])
    return Pairs(len(masks.sites), masks.seen.numel(), never, told, near, rarest)


def _observed_together(kept: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(start, counts (BLOCK, sites - start)) of the upper half; equal masks are multiplied once."""
    masks, times = distinct(kept)
    columns = masks.float()  # counts below 2^24 are exact
    for start in range(0, kept.shape[1], BLOCK):
        left = columns[:, start : start + BLOCK] * times[:, None]
        yield start, left.T @ columns[:, start:]


def distinct(kept: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows of bool (n, sites), and how often each occurs, float (m,)."""
    bits = np.packbits(kept.numpy(), axis=1)
    _, first, times = np.unique(
        bits.view(np.dtype((np.void, bits.shape[1]))).ravel(), return_index=True, return_counts=True
    )
    return kept[torch.from_numpy(first)], torch.from_numpy(times).float()


def _nearest(masks: Masks, sure: Tensor, start: int, count: int) -> list[tuple[float, int, int]]:
    """(distance, site, site) of the `count` marked pairs that are closest, in pixels."""
    if not bool(sure.any()):
        return []
    width = masks.seen.shape[-1]
    area = width * masks.seen.shape[-2]
    row, column = (masks.sites % area // width).int(), (masks.sites % width).int()
    rows = row[start : start + BLOCK, None] - row[start:]
    columns = column[start : start + BLOCK, None] - column[start:]
    squared = torch.where(sure, rows.square() + columns.square(), 2**31 - 1).flatten()
    best = squared.topk(min(count, int(sure.sum())), largest=False).indices
    one, other = best // sure.shape[1] + start, best % sure.shape[1] + start
    return [
        (math.sqrt(float(squared[i])), int(masks.sites[a]), int(masks.sites[b]))
        for i, a, b in zip(best.tolist(), one.tolist(), other.tolist(), strict=True)
    ]


# Two laws ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """How far two laws are apart in one respect; `limit` is what chance alone all but never exceeds.

    `one` and `other` are the figures to tell: rates at `place`, or means.
    """

    name: str
    size: float
    limit: float
    one: float
    other: float
    place: Place | None = None

    @property
    def differs(self) -> bool:
        """Whether chance does not explain it."""
        return self.size > self.limit


def compare(one: Masks, other: Masks) -> tuple[Gap, ...]:
    """How two laws of masks differ: the rate at each pixel, the share hidden, the longest hidden runs.

    Laws that agree in all of these may still differ. Masks with and without channels are compared as
    they are; their heights and widths must be equal.
    """
    return (
        _rate_gap(one, other),
        _shape_gap("share hidden", one.hidden, other.hidden),
        _shape_gap("longest hidden run in a row", one.across, other.across),
        _shape_gap("longest hidden run in a column", one.down, other.down),
    )


def _rate_gap(one: Masks, other: Masks) -> Gap:
    """The largest root of the likelihood ratio over all sites: sqrt(2 (n KL(p | pooled) + m KL(q | pooled))).

    It is a z score where hits are many, and keeps its tail where they are few or n and m very different.
    """
    channels = max(len(one.seen), len(other.seen))
    first, second = ((1 - masks.rate).expand(channels, -1, -1) for masks in (one, other))
    pooled = (first * one.n + second * other.n) / (one.n + other.n)
    ratio = one.n * _divergence(first, pooled) + other.n * _divergence(second, pooled)
    score = (2 * ratio).clamp(min=0).sqrt()
    site = int(score.argmax())
    place = (one if len(one.seen) == channels else other).place(site)
    at = float(first.flatten()[site]), float(second.flatten()[site])
    return Gap("hidden rate of a pixel", float(score.max()), SIGMAS, *at, place)


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL of two coins, 0 where both are 0 or both 1."""
    least = torch.finfo(q.dtype).tiny
    heads = torch.xlogy(p, p / q.clamp(min=least))
    return heads + torch.xlogy(1 - p, (1 - p) / (1 - q).clamp(min=least))


def _shape_gap(name: str, one: Tensor, other: Tensor) -> Gap:
    """Kolmogorov-Smirnov distance of a figure that each draw has."""
    values = torch.cat([one, other]).sort().values
    below = [
        torch.searchsorted(part.sort().values, values, right=True).double() / len(part)
        for part in (one, other)
    ]
    limit = math.sqrt(-math.log(ALPHA / 2) / 2 * (1 / len(one) + 1 / len(other)))
    means = float(one.double().mean()), float(other.double().mean())
    return Gap(name, float((below[0] - below[1]).abs().max()), limit, *means)
