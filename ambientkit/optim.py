"""Optimisers as recipes name them, and the averaged generator."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ambientkit.recipe_train import SGD, Adadelta, Adam, RMSprop


def build_optimizer(section: Adam | RMSprop | SGD | Adadelta, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a recipe's section over all weights of `network`; fused where torch has it."""
    weights = list(network.parameters())
    settings = section.model_dump(exclude={"kind"})
    if isinstance(section, Adam):
        kind = torch.optim.AdamW if section.kind == "adamw" else torch.optim.Adam
        return kind(weights, **settings, fused=True)
    if isinstance(section, SGD):
        return torch.optim.SGD(weights, **settings, fused=True)
    if isinstance(section, RMSprop):
        return torch.optim.RMSprop(weights, **settings, foreach=True)
    return torch.optim.Adadelta(weights, **settings, foreach=True)


HOST_OR_DEVICE = ("lr", "capturable")  # of a group of weights: where its numbers are kept


def rates_on(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Keep learning rates and counts of steps on `device`, where a recorded step reads them."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], device=device)
        if "capturable" in group:
            group["capturable"] = device.type == "cuda"


def set_rate(group: dict[str, Any], rate: float) -> None:
    """Give a group of weights a learning rate, wherever it is kept."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Its state as a checkpoint keeps it: the same wherever the rates are kept."""
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group["lr"] = float(group["lr"])
        if "capturable" in group:
            group["capturable"] = False
    return state


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Go on from a checkpoint's state. Rates are the recipe's, and stay where they are kept."""
    pairs = zip(state["param_groups"], optimizer.param_groups, strict=True)
    groups = [{**saved, **{k: own[k] for k in HOST_OR_DEVICE if k in own}} for saved, own in pairs]
    optimizer.load_state_dict({**state, "param_groups": groups})


class AveragedNetwork:
    """An exponential moving average of a network: of its weights, and of the statistics of batch norms.

    All other buffers are the network's own: the vectors by which spectral norm takes a weight's size have
    length 1, and averages of them have not.
    The decay rises as (1 + t) / (10 + t) up to `decay`, so that short runs are not dragged back to
    their random start; it is a function of the step, so a resumed run continues it exactly.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int, decay: float | None = None) -> None:
        """Move towards `network` after `step` (counted from 1); `decay`, if given, is that of this step."""
        decay = self.decay if decay is None else decay
        weight = 1.0 - min(decay, (1 + step) / (10 + step))
        mine, theirs = _averaged(self.network), _averaged(network)
        torch._foreach_lerp_(list(mine.values()), list(theirs.values()), weight)
        own = dict(network.named_buffers())
        for name, value in self.network.named_buffers():
            if name not in mine:
                value.copy_(own[name])


def _averaged(network: nn.Module) -> dict[str, Tensor]:
    """Floating weights and batch norms' statistics, by name."""
    statistics = {id(value) for norm in batch_norms(network) for value in norm.buffers()}
    state = [
        *network.named_parameters(),
        *((k, v) for k, v in network.named_buffers() if id(v) in statistics),
    ]
    return {name: value for name, value in state if value.is_floating_point()}


@torch.no_grad()
def reestimate_batch_norm(network: nn.Module, forwards: Iterable[object]) -> None:
    """Re-estimate batch-norm statistics over `forwards`: an iterator that runs `network` as it is consumed.

    With a further measurement the network trains on inputs with more hidden than it meets later;
    its running statistics would describe the wrong inputs.
    """
    norms = batch_norms(network)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    for _ in forwards:
        pass
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The batch-norm layers with running statistics."""
    layers = (layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm))
    return [layer for layer in layers if layer.track_running_stats]
