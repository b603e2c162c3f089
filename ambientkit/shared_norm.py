"""Batch norm whose statistics are those of the whole batch, over all processes of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ambientkit.group import shared_mean

_playing: ContextVar[bool] = ContextVar("playing", default=False)


@contextmanager
def all_playing() -> Iterator[None]:
    """Every process runs the same networks meanwhile; else one may run them alone, and waits for nobody."""
    token = _playing.set(True)
    try:
        yield
    finally:
        _playing.reset(token)


def share_batch_norms(network: nn.Module) -> int:
    """Put a `SharedBatchNorm` with the same weights in the place of each batch norm within; how many."""
    count = 0
    for name, child in network.named_children():
        if isinstance(child, _BatchNorm):
            setattr(network, name, SharedBatchNorm(child))
            count += 1
        else:
            count += share_batch_norms(child)
    return count


class SharedBatchNorm(_BatchNorm):
    """A batch norm of any number of axes; in `all_playing` it takes mean and variance over all processes.

    On CPUs too, which torch's SyncBatchNorm does not. The shares of a batch must be equally large. Two
    messages a pass, and two a gradient; gradients of gradients are right as well.
    """

    def __init__(self, like: _BatchNorm) -> None:
        super().__init__(like.num_features, like.eps, like.momentum, like.affine, like.track_running_stats)
        self.weight, self.bias, self.training = like.weight, like.bias, like.training
        self._buffers.update(like._buffers)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (n, channels, ...), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Like `input`, (n, channels, ...)."""
        if not (self.training and _playing.get() and distributed.is_initialized()):
            return super().forward(input)
        self._check_input_dim(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        mean = shared_mean(input.float().mean(axes))
        centred = input.float() - mean.view(shape)
        variance = shared_mean(centred.square().mean(axes))
        self._remember(mean, variance, input.numel() // input.shape[1] * distributed.get_world_size())
        made = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            made = made * self.weight.view(shape) + self.bias.view(shape)
        return made.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """As a batch norm of its own does: the variance that is kept is unbiased."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance * count / max(1, count - 1), weight)
