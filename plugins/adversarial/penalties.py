"""Penalties on how steep the discriminator is, at reals, at fakes, and on the way between them.

Gradients are taken by the measured values y alone, and by each picture's own: D must not mix pictures, as
batch norm does.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ambientkit import View
from ambientkit.interfaces import Critic, Theta


def squared_slope(critic: Critic, view: View) -> Tensor:
    """||grad_y D(y)||^2 (n,), with a graph to the discriminator's weights. Of maps, D is their sum."""
    y = view.y.detach().requires_grad_()
    scores = critic(replace(view, y=y))
    (gradient,) = torch.autograd.grad(scores.sum(), y, create_graph=True)
    return gradient.float().square().flatten(1).sum(1)


def zero_centred(critic: Critic, view: View, strength: float) -> Tensor:
    """strength / 2 * E ||grad D(y)||^2: R1 at reals, R2 at fakes (Mescheder et al. 2018, eq. 9)."""
    return strength / 2 * squared_slope(critic, view).mean()


def one_centred(critic: Critic, real: View, fake: View, strength: float) -> Tensor:
    """strength * E (||grad D|| - 1)^2 between reals and fakes (Gulrajani et al. 2017, eq. 3)."""
    slope = (squared_slope(critic, between(real, fake)) + 1e-12).sqrt()  # the root has no slope at 0
    return strength * (slope - 1).square().mean()


def between(real: View, fake: View) -> View:
    """A place on the straight line from each real to the fake beside it, uniform, alike for all it holds.

    Masks and what is known lie between as well, as numbers: a discriminator that reads them is tested on
    the way between the two, and not at a corner of it.
    """
    share = torch.rand(len(real.y), device=real.y.device)
    return View(
        _lerp(real.y, fake.y, share),
        _lerp_if_both(real.observed, fake.observed, share),
        _lerp_known(real.known, fake.known, share),
        _lerp_if_both(real.region, fake.region, share),
    )


def _lerp(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    weight = share.view(-1, *[1] * (real.dim() - 1))
    return torch.lerp(fake.detach().float(), real.detach().float(), weight)


def _lerp_if_both(real: Tensor | None, fake: Tensor | None, share: Tensor) -> Tensor | None:
    return None if real is None or fake is None else _lerp(real, fake, share)


def _lerp_known(real: Theta | None, fake: Theta | None, share: Tensor) -> Theta | None:
    if real is None or fake is None:
        return None
    return {name: _lerp(value, fake[name], share) for name, value in real.items() if name in fake}
