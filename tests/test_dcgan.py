"""DCGAN's networks at many sizes."""

import copy

import pytest
import torch
from ambientkit_plugins.dcgan import register_discriminators, register_generators
from ambientkit_plugins.dcgan.networks import DcganDiscriminator, DcganGenerator
from ambientkit_plugins.dcgan.options import DiscriminatorOptions, GeneratorOptions
from torch import nn

from ambientkit import Context, Measured, View
from ambientkit.errors import PluginError

pytestmark = pytest.mark.smoke

SIZES = [(16, 16), (28, 28), (32, 48), (16, 128), (64, 64), (100, 75), (128, 128)]


def view(n, channels, height, width):
    observed = torch.rand(n, 1, height, width) > 0.3
    return View(torch.rand(n, channels, height, width) * 2 - 1, observed)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("norm", ["none", "batch", "instance"])
def test_scores_at_any_size(size, norm):
    critic = DcganDiscriminator((3, *size), width=4, norm=norm)
    assert critic(view(2, 3, *size)).shape == (2,)


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        ((16, 16), [8, 16]),
        ((28, 28), [8, 16]),
        ((64, 64), [8, 16, 32, 64]),
        ((128, 128), [8, 16, 32, 64, 64]),
    ],
)
def test_widths_double_to_eight_times(size, widths):
    critic = DcganDiscriminator((3, *size), width=8)
    found = [m for m in critic.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in found] == widths
    assert {(c.kernel_size, c.stride) for c in found} == {((5, 5), (2, 2))}


def test_spectral_norm_makes_the_largest_singular_value_one():
    torch.manual_seed(0)
    critic = DcganDiscriminator((3, 16, 16), width=8, spectral_norm=True)
    for _ in range(30):
        critic(view(2, 3, 16, 16))
    critic.eval()
    layers = [m for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 3
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(largest) == pytest.approx(1, abs=0.02)


def test_evaluating_changes_no_state():
    critic = DcganDiscriminator((3, 16, 16), width=4, norm="batch", spectral_norm=True).eval()
    before = copy.deepcopy(critic.state_dict())
    critic(view(2, 3, 16, 16))
    assert all(torch.equal(value, before[key]) for key, value in critic.state_dict().items())


def test_the_mask_is_seen_and_hidden_pixels_have_a_gradient():
    torch.manual_seed(0)
    critic = DcganDiscriminator((3, 32, 32), width=8)
    shown = view(2, 3, 32, 32)
    assert not torch.equal(critic(shown), critic(View(shown.y, ~shown.observed)))
    y = shown.y.clone().requires_grad_()
    critic(View(y, shown.observed)).sum().backward()
    assert (y.grad.abs() > 0).float().mean() > 0.99


def test_mask_channel_needs_observed():
    with pytest.raises(PluginError, match="mask_channel: false"):
        DcganDiscriminator((3, 16, 16), width=2)(View(torch.zeros(1, 3, 16, 16)))
    assert (
        DcganDiscriminator((3, 16, 16), width=2, mask_channel=False)(View(torch.zeros(1, 3, 16, 16))).ndim
        == 1
    )


@pytest.mark.parametrize("size", [(16, 16), (28, 28), (32, 64), (64, 64), (128, 128)])
def test_the_generator_makes_pictures(size):
    torch.manual_seed(0)
    network = DcganGenerator((3, *size), width=4, latent=10)
    assert network.latent_shape((3, *size)) == (10,)
    pictures = network(None, torch.randn(3, 10))
    assert pictures.shape == (3, 3, *size)
    assert pictures.abs().max() <= 1
    assert not torch.equal(pictures[0], pictures[1])


def test_the_generator_needs_a_latent():
    with pytest.raises(PluginError, match="latent"):
        DcganGenerator((3, 16, 16), width=2)(Measured(torch.zeros(1, 3, 16, 16)), None)


def complaints(options, **context):
    return [c.field for c in options.complaints(Context(**context))]


def test_complaints():
    assert complaints(DiscriminatorOptions(), image_size=(15, 64)) == [""]
    assert complaints(DiscriminatorOptions(), image_size=(16, 77)) == []
    assert complaints(DiscriminatorOptions(), facts=frozenset({"measurement:random"})) == ["mask_channel"]
    assert complaints(GeneratorOptions(), image_size=(8, 8)) == [""]
    assert complaints(GeneratorOptions(), image_size=(30, 30)) == [""]
    for size in (16, 28, 32, 64, 128, 256):
        assert complaints(GeneratorOptions(), image_size=(size, size)) == []
    assert complaints(GeneratorOptions(), image_size=None) == []


def test_facts():
    assert DiscriminatorOptions().facts() == {"features"}
    assert DiscriminatorOptions(norm="batch").facts() == {"batch_norm", "features"}
    assert GeneratorOptions().facts() == {"latent", "batch_norm"}


def test_options_reach_the_networks():
    (critic,), (generator,) = register_discriminators(), register_generators()
    options = DiscriminatorOptions(width=2, norm="instance", spectral_norm=True, mask_channel=False)
    built = critic.build(options, Context(measured_shape=(1, 16, 20), image_shape=(3, 32, 32)))
    first = next(m for m in built.modules() if isinstance(m, nn.Conv2d))
    assert (first.in_channels, first.out_channels) == (1, 2)
    assert hasattr(first, "parametrizations")
    assert any(isinstance(m, nn.InstanceNorm2d) for m in built.modules())
    made = generator.build(GeneratorOptions(width=2, latent=7), Context(image_shape=(1, 28, 28)))
    assert made(None, torch.randn(2, 7)).shape == (2, 1, 28, 28)
    with pytest.raises(PluginError, match="not on"):
        critic.build(options, Context(measured_shape=(40,)))
    with pytest.raises(PluginError, match="not known"):
        generator.build(GeneratorOptions(), Context())


@pytest.mark.parametrize("measured", [(48,), (3, 2, 46), (3, 8, 8)])
def test_measurements_that_are_no_pictures_are_sent_to_mlp(measured):
    context = Context((32, 32), (3, 32, 32), measured)
    (complaint,) = DiscriminatorOptions(mask_channel=False).complaints(context)
    assert str(measured) in complaint.message
    assert complaint.remedy == "use the discriminator mlp"
