"""GLCIC's completion network against its table."""

import pytest
import torch
from ambientkit_plugins.glcic import GlcicOptions, register_generators
from ambientkit_plugins.glcic.network import Glcic
from pydantic import ValidationError
from torch import nn

from ambientkit import Context, Measured
from ambientkit.errors import PluginError

pytestmark = pytest.mark.smoke

TABLE = [  # kernel, stride, dilation, channels out (Iizuka et al. 2017, table 1)
    (5, 1, 1, 64),
    (3, 2, 1, 128),
    (3, 1, 1, 128),
    (3, 2, 1, 256),
    (3, 1, 1, 256),
    (3, 1, 1, 256),
    (3, 1, 2, 256),
    (3, 1, 4, 256),
    (3, 1, 8, 256),
    (3, 1, 16, 256),
    (3, 1, 1, 256),
    (3, 1, 1, 256),
    (4, 2, 1, 128),
    (3, 1, 1, 128),
    (4, 2, 1, 64),
    (3, 1, 1, 32),
    (3, 1, 1, 3),
]


def measured(n=2, channels=3, height=32, width=32, seed=0):
    y = torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    observed = torch.ones(n, 1, height, width, dtype=torch.bool)
    observed[:, :, 4:12, 4:12] = False
    return Measured(y, observed)


def convolutions(network):
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def test_the_table():
    network = Glcic(3)
    found = [(c.kernel_size[0], c.stride[0], c.dilation[0], c.out_channels) for c in convolutions(network)]
    assert found == TABLE
    assert [isinstance(c, nn.ConvTranspose2d) for c in convolutions(network)].count(True) == 2
    assert convolutions(network)[0].in_channels == 4


def test_the_paper_s_number_of_parameters():
    parameters = sum(p.numel() for p in Glcic(3).parameters())
    assert round(parameters / 1e6, 2) == 6.07


def test_norm_and_relu_follow_every_convolution_but_the_last():
    layers = list(Glcic(3, width=4).layers)
    assert len(layers) == 16 * 3 + 1
    assert all(isinstance(norm, nn.BatchNorm2d) for norm in layers[1:-1:3])
    assert all(isinstance(relu, nn.ReLU) for relu in layers[2:-1:3])


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize("shape", [(3, 16, 24), (1, 28, 28)])
def test_shapes_range_and_moderate_output_at_the_start(norm, shape):
    torch.manual_seed(0)
    network = Glcic(shape[0], width=16, norm=norm)
    out = network(measured(3, *shape), None)
    assert out.shape == (3, *shape)
    assert out.abs().max() <= 1
    assert 1e-3 < out.std() < 0.8  # without norms dilated taps outside the small map are missed


def test_without_norm_it_learns():
    torch.manual_seed(0)
    network = Glcic(1, width=8, norm="none")
    given, target = measured(4, 1, 16, 16), torch.full((4, 1, 16, 16), 0.5)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        loss = (network(given, None) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_mask_channel_is_one_where_hidden():
    network = Glcic(3, width=2)
    given = measured()
    fed = network._input(given, None)
    assert fed.shape[1] == 4
    assert torch.equal(fed[:, 3:].bool(), ~given.observed)


def test_without_mask_channel_observed_is_not_needed():
    network = Glcic(3, width=2, mask_channel=False).eval()
    y = measured().y
    assert torch.equal(network(Measured(y), None), network(measured(), None))


def test_a_latent_changes_the_picture():
    torch.manual_seed(0)
    network = Glcic(3, width=4, latent_channels=2).eval()
    assert network.latent_shape((3, 32, 40)) == (2, 32, 40)
    assert Glcic(3, width=4).latent_shape((3, 32, 40)) is None
    one, two = (network(measured(), torch.randn(2, 2, 32, 32)) for _ in range(2))
    assert not torch.equal(one, two)


def test_every_parameter_gets_a_gradient():
    network = Glcic(3, width=4, norm="group", latent_channels=1)
    network(measured(), torch.randn(2, 1, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters() if p.ndim > 1)


@pytest.mark.parametrize(
    ("given", "latent_channels", "message"),
    [
        (None, 0, "completes measurements"),
        (Measured(torch.zeros(1, 3, 8, 8)), 0, "mask_channel: false"),
        (measured(), 1, "no latent was given"),
    ],
)
def test_missing_inputs_are_plugin_errors(given, latent_channels, message):
    with pytest.raises(PluginError, match=message):
        Glcic(3, width=2, latent_channels=latent_channels)(given, None)


def complaints(options, **context):
    return [(c.field, c.message, c.remedy) for c in options.complaints(Context(**context))]


def test_complaints():
    assert not complaints(GlcicOptions(), image_size=(64, 28))
    ((_, message, remedy),) = complaints(GlcicOptions(), image_size=(30, 64))
    assert "multiples of 4, not 30x64" in message
    assert remedy == "set data.image_size: [32, 64]"
    ((field, _, _),) = complaints(GlcicOptions(norm="instance"), image_size=(4, 4))
    assert field == "norm"
    ((field, _, _),) = complaints(GlcicOptions(), facts=frozenset({"measurement:exact"}))
    assert field == "mask_channel"
    assert not complaints(GlcicOptions(), facts=frozenset({"measurement:observed"}))
    assert not complaints(GlcicOptions(mask_channel=False), facts=frozenset({"measurement:exact"}))


def test_facts_follow_the_options():
    assert GlcicOptions().facts() == {"completes", "batch_norm"}
    assert GlcicOptions(norm="none", latent_channels=1).facts() == {"completes", "latent"}


@pytest.mark.parametrize("bad", [{"width": 3}, {"width": 0}, {"dilations": [2, 4]}, {"norm": "layer"}])
def test_bad_options_are_refused(bad):
    with pytest.raises(ValidationError):
        GlcicOptions(**bad)


def test_options_reach_the_network():
    (component,) = register_generators()
    options = GlcicOptions(
        width=6, dilations=(1, 2, 3, 4), norm="none", mask_channel=False, latent_channels=2
    )
    network = component.build(options, Context(image_shape=(1, 16, 16)))
    found = convolutions(network)
    assert found[0].in_channels == 3
    assert found[0].out_channels == 6
    assert [c.dilation[0] for c in found[6:10]] == [1, 2, 3, 4]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    with pytest.raises(PluginError, match="shape is not known"):
        component.build(options, Context())
