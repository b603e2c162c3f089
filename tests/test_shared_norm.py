"""Batch norm over several processes, held against one that has the whole batch."""

from __future__ import annotations

import socket
from functools import partial

import pytest
import torch
from torch import distributed, multiprocessing, nn

from ambientkit import Engine
from ambientkit.errors import InputError
from ambientkit.machine import choose
from ambientkit.preparation import prepare
from ambientkit.shared_norm import SharedBatchNorm, all_playing, share_batch_norms

BATCH = torch.randn(6, 3, 4, 5, generator=torch.Generator().manual_seed(0)) * 2 + 1


def network(momentum: float | None) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2, momentum=momentum), nn.Tanh(), nn.Flatten())


def penalised(made: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """A loss with a gradient of a gradient in it."""
    (slope,) = torch.autograd.grad(made.square().sum(1).mean(), batch, create_graph=True)
    return made.sin().sum(1).mean() + slope.square().sum((1, 2, 3)).mean()


def gradients(net: nn.Module, batch: torch.Tensor, loss) -> list[torch.Tensor]:
    batch = batch.clone().requires_grad_()
    loss(net(batch), batch).backward()
    return [weight.grad for weight in net.parameters()]


def plain(made: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    return made.sin().sum(1).mean()


def share(rank: int, port: int, momentum: float | None, wanted: dict[str, torch.Tensor]) -> None:
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    net = network(momentum)
    share_batch_norms(net)
    with all_playing():
        found = gradients(net, BATCH[3 * rank : 3 * rank + 3], plain)
    for each, other in zip(found, wanted["gradients"], strict=True):
        distributed.all_reduce(each)
        torch.testing.assert_close(each / 2, other, rtol=1e-4, atol=1e-5)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, wanted["state"][name], rtol=1e-4, atol=1e-5)
    if rank == 0:  # alone: the other process is not waited for
        assert net(BATCH[:2]).isfinite().all()
    distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@pytest.mark.parametrize("momentum", [0.1, None])
def test_two_shares_are_normalised_as_the_whole(momentum):
    whole = network(momentum)
    wanted = {"gradients": gradients(whole, BATCH, plain), "state": whole.state_dict()}
    multiprocessing.spawn(share, (free_port(), momentum, wanted), nprocs=2)


@pytest.fixture
def alone(tmp_path):
    """A group of this process alone."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("loss", [plain, penalised])
@pytest.mark.parametrize("affine", [True, False])
def test_alone_it_is_batch_norm(alone, loss, affine):
    nets = [network(0.1), network(0.1)]
    for net in nets:
        net[1] = nn.BatchNorm2d(2, affine=affine)
    assert share_batch_norms(nets[1]) == 1 and isinstance(nets[1][1], SharedBatchNorm)
    assert nets[0].state_dict().keys() == nets[1].state_dict().keys()
    with all_playing():
        both = [gradients(net, BATCH, loss) for net in nets]
    for mine, theirs in zip(*both, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(nets[0].eval()(BATCH), nets[1].eval()(BATCH))


def test_without_running_statistics_it_keeps_none(alone):
    net = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False))
    wanted = net(BATCH[:, :, 0, 0])
    share_batch_norms(net)
    with all_playing():
        torch.testing.assert_close(net(BATCH[:, :, 0, 0]), wanted)
        with pytest.raises(ValueError, match="channels"):
            net(BATCH[0, 0, 0])


def test_where_no_network_has_one_it_is_refused(tiny, tmp_path):
    engine = Engine(discover=False, cache_dir=tmp_path)
    load = partial(engine.load, "quickstart", "data.source.count=40", "data.holdout=8", "train.batch_size=4")
    with pytest.raises(InputError, match=r"train\.sync_batch_norm: neither network has a batch norm"):
        prepare(load("train.sync_batch_norm=true", "generator.norm=none"), choose("cpu", "fp32"), tmp_path)
