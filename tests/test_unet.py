"""The U-Net: shapes, sizes, inputs, and what it shares with every completion network."""

import pytest
import torch
from ambientkit_plugins.unet import UNetOptions
from ambientkit_plugins.unet.network import UNet

from ambientkit import Context, Measured
from ambientkit.errors import PluginError


def measured(n=2, channels=3, height=32, width=32):
    observed = torch.ones(n, 1, height, width, dtype=torch.bool)
    observed[..., 8:20, 8:20] = False
    return Measured(torch.where(observed, torch.rand(n, channels, height, width) * 2 - 1, 1.0), observed)


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize(("channels", "height", "width"), [(3, 32, 32), (1, 16, 48)])
def test_pictures_in_pictures_out(norm, channels, height, width):
    network = UNet(channels, width=4, norm=norm)
    made = network(measured(2, channels, height, width), None)
    assert made.shape == (2, channels, height, width)
    assert made.abs().max() <= 1


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_its_multiple_is_what_depth_asks_for(depth):
    assert UNet(3, width=2, depth=depth).multiple == UNetOptions(depth=depth).multiple == 2**depth
    (complaint,) = UNetOptions(depth=depth).complaints(Context(image_size=(2**depth * 3, 2**depth * 3 + 1)))
    assert f"multiples of {2**depth}" in complaint.message
    assert not list(UNetOptions(depth=depth).complaints(Context(image_size=(2**depth * 3, 2**depth * 2))))


def test_a_known_pixel_beside_the_hole_reaches_the_fill_at_full_resolution():
    torch.manual_seed(0)  # of the weights
    network = UNet(1, width=8, depth=3, norm="none").eval()
    seen = measured(1, 1)
    seen.y.requires_grad_()
    network(seen, None)[0, 0, 8, 8].backward()  # a corner of the hole
    reach = seen.y.grad[0, 0].abs()
    assert reach[7, 7] > 10 * reach[0, 31]


def test_a_latent_makes_many_fills_of_one_picture():
    network = UNet(3, width=4, latent_channels=2).eval()
    assert network.latent_shape((3, 32, 32)) == (2, 32, 32)
    one, other = (network(measured(1), torch.randn(1, 2, 32, 32)) for _ in range(2))
    assert not torch.equal(one, other)
    with pytest.raises(PluginError, match="unet: latent_channels is set"):
        network(measured(1), None)


def test_what_is_missing_is_named():
    with pytest.raises(PluginError, match="unet completes measurements"):
        UNet(3, width=4)(None, None)
    with pytest.raises(PluginError, match="set mask_channel: false"):
        UNet(3, width=4)(Measured(torch.zeros(1, 3, 32, 32)), None)


def test_facts_follow_the_options():
    assert UNetOptions().facts() == {"completes"}
    assert UNetOptions(norm="batch", latent_channels=1).facts() == {"completes", "latent", "batch_norm"}
