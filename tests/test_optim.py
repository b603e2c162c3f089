"""Optimisers, the averaged generator, and batch-norm statistics."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from ambientkit.optim import AveragedNetwork, batch_norms, build_optimizer, reestimate_batch_norm
from ambientkit.recipe_train import Optimizer

KINDS = {
    "adam": (torch.optim.Adam, {"lr": 0.1, "betas": [0.4, 0.5], "eps": 1e-3, "weight_decay": 0.1}),
    "adamw": (torch.optim.AdamW, {"lr": 0.1, "betas": [0.4, 0.5], "eps": 1e-3, "weight_decay": 0.1}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.1, "alpha": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1}),
    "adadelta": (torch.optim.Adadelta, {"lr": 0.1, "rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_optimiser_has_its_settings_and_steps(kind):
    expected, settings = KINDS[kind]
    network = nn.Linear(2, 2)
    before = network.weight.detach().clone()
    section = TypeAdapter(Optimizer).validate_python({"kind": kind, **settings})
    optimizer = build_optimizer(section, network)
    assert type(optimizer) is expected
    for name, value in settings.items():
        found = optimizer.param_groups[0][name]
        assert (list(found) if isinstance(found, tuple) else found) == value
    for _ in range(2):
        network(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert (network.weight != before).all()


def test_the_kinds_are_all():
    sections = TypeAdapter(Optimizer).json_schema()["$defs"].values()
    kinds = [section["properties"]["kind"] for section in sections]
    assert {each for kind in kinds for each in kind.get("enum", [kind.get("const")])} == set(KINDS)


# Averaging --------------------------------------------------------------------------------------


def stepped(network: nn.Module) -> None:
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1.0)
        network.running_mean += 2.0
        network.num_batches_tracked += 3


def test_the_average_moves_by_the_rule_statistics_too():
    network = nn.BatchNorm1d(2)
    average = AveragedNetwork(network, decay=0.5)
    weight, mean = 1.0, 0.0
    for step in range(1, 12):
        stepped(network)
        average.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        weight = decay * weight + (1 - decay) * (1.0 + step)
        mean = decay * mean + (1 - decay) * 2.0 * step
    torch.testing.assert_close(average.network.weight, torch.full((2,), weight))
    torch.testing.assert_close(average.network.running_mean, torch.full((2,), mean))
    assert average.network.num_batches_tracked.item() == 33, "a count is copied, not averaged"
    assert not average.network.training
    assert not any(weight.requires_grad for weight in average.network.parameters())


def test_without_decay_the_average_is_the_network():
    network = nn.BatchNorm1d(2)
    average = AveragedNetwork(network, decay=0.0)
    stepped(network)
    average.update(network, 1)
    assert torch.equal(average.network.weight, network.weight)
    assert average.network.weight is not network.weight


def test_the_average_of_a_spectrally_normed_network_is_normed_too():
    """Averages of unit vectors are none, and with them weights come out too large."""
    torch.manual_seed(0)
    network = nn.utils.parametrizations.spectral_norm(nn.Linear(16, 16, bias=False))
    average, kick = AveragedNetwork(network, decay=0.99), torch.zeros(16, 16)
    original = network.parametrizations.weight.original
    for step in range(1, 200):
        kick = 0.9 * kick + 0.1 * torch.randn(16, 16)
        with torch.no_grad():
            original.add_(0.3 * kick)
        network(torch.zeros(1, 16))  # which takes a step of the power iteration
        average.update(network, step)
    sizes = [torch.linalg.matrix_norm(each.weight, 2).item() for each in (network, average.network)]
    assert max(sizes) < 1.5, sizes
    assert average.network.parametrizations.weight[0]._u.norm().item() == pytest.approx(1)


def test_other_buffers_are_the_networks_own():
    network = nn.Linear(2, 2)
    network.register_buffer("phase", torch.zeros(1))
    average = AveragedNetwork(network, decay=0.9)
    network.phase += 1
    average.update(network, 100)
    assert average.network.phase.item() == 1


# Batch norm -------------------------------------------------------------------------------------


def test_statistics_are_the_plain_mean_over_the_batches():
    network = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.Dropout(0.9)).eval()
    parts = [torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(i)) * (i + 1) for i in range(3)]
    reestimate_batch_norm(network, (network(part) for part in parts))
    norm = network[0]
    torch.testing.assert_close(norm.running_mean, torch.stack([p.mean((0, 2, 3)) for p in parts]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([p.var((0, 2, 3)) for p in parts]).mean(0))
    assert norm.momentum == 0.3
    assert not any(module.training for module in network.modules())


def test_only_norms_with_running_statistics_count():
    network = nn.Sequential(
        nn.BatchNorm2d(1), nn.BatchNorm2d(1, track_running_stats=False), nn.GroupNorm(1, 1)
    )
    assert batch_norms(network) == [network[0]]
