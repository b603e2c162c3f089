"""The contracts of networks: good ones pass, and each check finds the network that breaks it, alone."""

from __future__ import annotations

import copy

import faulty_networks as faulty
import pytest
import torch
from torch import nn

from ambientkit.testing import (
    DISCRIMINATOR_CHECKS,
    GENERATOR_CHECKS,
    ContractError,
    DiscriminatorCase,
    GeneratorCase,
    check_discriminator,
    check_generator,
    parametrize_with_checks,
)

GENERATORS = {**faulty.mixed(faulty.GoodGenerator), **faulty.FAULTY_GENERATORS}
DISCRIMINATORS = {**faulty.mixed(faulty.GoodDiscriminator), **faulty.FAULTY_DISCRIMINATORS}


def broken_by(check, component, **options):
    with pytest.raises(ContractError) as caught:
        check(component, **options)
    for failure in caught.value.failures:
        assert ";" in failure.message  # what is wrong, and what to do
    return {failure.check for failure in caught.value.failures}


@pytest.mark.parametrize("kind", GENERATORS, ids=lambda kind: kind.__name__)
def test_a_faulty_generator_is_found_by_one_check(kind):
    torch.manual_seed(0)
    assert broken_by(check_generator, kind(), image_shape=faulty.SHAPE) == {GENERATORS[kind]}


@pytest.mark.parametrize("kind", DISCRIMINATORS, ids=lambda kind: kind.__name__)
def test_a_faulty_discriminator_is_found_by_one_check(kind):
    torch.manual_seed(0)
    assert broken_by(check_discriminator, kind(), measured_shape=faulty.SHAPE) == {DISCRIMINATORS[kind]}


@pytest.mark.parametrize(
    ("checks", "found"), [(GENERATOR_CHECKS, GENERATORS), (DISCRIMINATOR_CHECKS, DISCRIMINATORS)]
)
def test_every_check_has_a_faulty_network(checks, found):
    assert {check.name for check in checks} == set(found.values())
    assert all(check.summary for check in checks)


@parametrize_with_checks(
    {
        "generator": (GENERATOR_CHECKS, lambda: GeneratorCase(faulty.GoodGenerator(), faulty.SHAPE)),
        "discriminator": (
            DISCRIMINATOR_CHECKS,
            lambda: DiscriminatorCase(faulty.GoodDiscriminator(), faulty.SHAPE),
        ),
    }
)
def test_good_networks_pass(check):
    check()


def test_a_network_is_afterwards_as_it_was():
    network = faulty.GoodGenerator()
    network.layers[1].eval()
    before = copy.deepcopy(network.state_dict())
    state = torch.get_rng_state()
    check_generator(network, faulty.SHAPE)
    assert network.training
    assert not network.layers[1].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None and weight.is_contiguous() for weight in network.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_discriminator_of_vectors_gets_no_pixels():
    class OfVectors(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(7, 1)

        def forward(self, view):
            assert view.observed is None
            assert view.region is None
            return self.layer(torch.cat([view.y, view.known["angle"]], 1)).squeeze(1)

    found = broken_by(check_discriminator, OfVectors(), measured_shape=(5,), known={"angle": (2,)})
    assert found == {"what_is_missing_is_refused_by_name"}


def test_a_generator_may_read_what_is_no_picture():
    class FromProjections(nn.Module, faulty.Generator):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(10, 3 * 16 * 16)

        def forward(self, measured, latent):
            if measured is None:
                raise faulty.PluginError("it completes projections")
            return torch.tanh(self.layer(measured.y)).unflatten(1, (3, 16, 16))

    findings = check_generator(FromProjections(), faulty.SHAPE, measured_shape=(10,))
    skipped = {finding.check for finding in findings if finding.outcome == "skipped"}
    assert skipped == {"the_latent_is_declared_honestly", "sizes_that_are_multiples_are_completed"}


def test_another_size_may_be_refused():
    class Refuses(faulty.GoodGenerator):
        def forward(self, measured, latent):
            if measured is not None and measured.y.shape[1:] != (3, 16, 16):
                raise faulty.PluginError("it takes 16x16 alone; set data.image_size: [16, 16]")
            return super().forward(measured, latent)

    check_generator(Refuses(), faulty.SHAPE)
