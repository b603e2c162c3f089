"""Discriminators beside DCGAN's, the residual networks, and the crop at what was made."""

from __future__ import annotations

import pytest
import torch
from ambientkit_plugins.glcic.discriminator import GlcicDiscriminator, cropped
from ambientkit_plugins.patches import PatchOptions
from ambientkit_plugins.patches.network import PatchDiscriminator
from ambientkit_plugins.resnets import ResNetOptions
from ambientkit_plugins.resnets.generator import ResNetGenerator
from ambientkit_plugins.resnets.r3gan import R3ganDiscriminator
from ambientkit_plugins.resnets.sngan import SnganDiscriminator
from ambientkit_plugins.resunet.network import ResUNet
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ambientkit import Context, Measured, View
from ambientkit.errors import PluginError

BUILD = {
    "glcic": lambda shape, **more: GlcicDiscriminator(shape, width=4, **more),
    "patch": lambda shape, **more: PatchDiscriminator(shape[0], width=4, **more),
    "sngan": lambda shape, **more: SnganDiscriminator(shape, width=4, **more),
    "r3gan": lambda shape, **more: R3ganDiscriminator(shape, width=4, group=2, **more),
}


def view(n=2, channels=3, height=32, width=32, mask=True, region=True):
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(n, channels, height, width, generator=generator) * 2 - 1
    hidden = torch.zeros(n, 1, height, width, dtype=torch.bool)
    hidden[:, :, 4:12, 6:14] = True
    return View(y, ~hidden if mask else None, region=hidden.roll(4, 2) if region else None)


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 28, 28), (3, 30, 53), (3, 64, 64)])
def test_scores_of_any_size(kind, shape):
    scores = BUILD[kind](shape)(view(2, *shape))
    assert scores.shape[0] == 2 and torch.isfinite(scores).all()
    assert scores.dim() == (4 if kind == "patch" else 1)


@pytest.mark.parametrize("kind", BUILD)
def test_a_mask_channel_needs_a_mask_and_is_looked_at(kind):
    network = BUILD[kind]((3, 32, 32)).eval()
    seen = view()
    other = View(seen.y, seen.observed.roll(8, 3), region=seen.region)
    assert not torch.equal(network(seen), network(other))
    with pytest.raises(PluginError, match="set mask_channel: false"):
        network(view(mask=False))
    assert torch.isfinite(BUILD[kind]((3, 32, 32), mask_channel=False)(view(mask=False))).all()


@pytest.mark.parametrize("kind", BUILD)
def test_features_are_what_scores_are_made_of(kind):
    network = BUILD[kind]((3, 32, 32)).eval()
    maps = network.features(view())
    assert len(maps) >= 2 and all(each.dim() == 4 for each in maps)
    assert [each.shape[2] for each in maps[:2]] == sorted((each.shape[2] for each in maps[:2]), reverse=True)
    moved = network.features(View(view().y + 0.1, view().observed, region=view().region))
    assert all(not torch.equal(a, b) for a, b in zip(maps, moved, strict=True))


# GLCIC ------------------------------------------------------------------------------------------


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12))
def test_the_window_is_centred_on_the_region_and_stays_inside(top, left, tall, wide):
    side, window = 32, (16, 14)
    region = torch.zeros(1, 1, side, side, dtype=torch.bool)
    region[:, :, top : top + tall, left : left + wide] = True
    places = torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side)
    found = cropped(places, region, window)
    first = int(found[0, 0, 0, 0])
    corner = (first // side, first % side)
    rows, columns = region[0, 0].any(1).nonzero(), region[0, 0].any(0).nonzero()
    for start, there, length in zip(corner, (rows, columns), window, strict=True):
        middle = (int(there[0]) + int(there[-1]) + 1) // 2
        assert start == min(max(middle - length // 2, 0), side - length)
    assert torch.equal(found, places[:, :, corner[0] :, corner[1] :][:, :, : window[0], : window[1]])


def test_windows_without_a_region_lie_in_the_middle_and_are_each_picture_s_own():
    pictures = torch.arange(2 * 16 * 16.0).view(2, 1, 16, 16)
    region = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    region[1, 0, 15, 15] = True
    found = cropped(pictures, region, (8, 8))
    assert torch.equal(found[0, 0], pictures[0, 0, 4:12, 4:12])
    assert torch.equal(found[1, 0], pictures[1, 0, 8:, 8:])


def test_the_local_side_sees_the_window_alone():
    network = GlcicDiscriminator((3, 32, 32), width=4)
    seen = view(1)
    seen.y.requires_grad_()
    maps = network.features(seen)
    (gradient,) = torch.autograd.grad(maps[-1].sum(), seen.y)
    window = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    window[:, :, 4:20, 2:18] = True  # the region is rows 8 to 15, columns 6 to 13
    assert (gradient[~window.expand_as(gradient)] == 0).all() and (gradient != 0).any()
    with pytest.raises(PluginError, match="which pixels were made"):
        network(view(region=False))


def test_depth_follows_the_size():
    for side, whole, local in ((16, 2, 1), (32, 3, 2), (64, 4, 3), (256, 6, 5)):
        network = GlcicDiscriminator((3, side, side), width=1)
        depths = [
            sum(isinstance(layer, nn.Conv2d) for layer in side) for side in (network.whole, network.local)
        ]
        assert depths == [whole, local]
    assert GlcicDiscriminator((3, 256, 256)).join.in_features == 2048  # table 4


# Patches ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_sees_its_patch_alone(depth, patch):
    network = PatchDiscriminator(1, width=2, depth=depth, mask_channel=False)
    y = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0)).requires_grad_()
    scores = network(View(y))
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    rows = (y.grad[0, 0] != 0).any(1).nonzero()
    assert int(rows[-1] - rows[0]) + 1 == patch


@pytest.mark.parametrize("depth", range(1, 6))
def test_the_smallest_picture_has_one_score(depth):
    side = PatchOptions(depth=depth).smallest
    network = PatchDiscriminator(1, width=1, depth=depth, mask_channel=False)
    assert network(View(torch.zeros(1, 1, side, side))).numel() >= 1
    if side > 16:
        with pytest.raises(RuntimeError):
            network(View(torch.zeros(1, 1, side - 2**depth, side - 2**depth)))
        (complaint,) = PatchOptions(depth=depth).complaints(Context(image_size=(side - 1, side - 1)))
        assert f"at least {side}x{side}" in complaint.message


# Residual networks ------------------------------------------------------------------------------


def test_spectral_norm_bounds_every_layer():
    network = SnganDiscriminator((3, 16, 16), width=8).train()
    for _ in range(60):
        network(view(2, 3, 16, 16))
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) > 5
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(
            1, abs=0.02
        )


def test_r3gan_begins_as_a_linear_network_of_even_scale():
    network = R3ganDiscriminator((3, 64, 64), width=16, group=8).eval()
    maps = network.features(view(8, height=64, width=64))
    assert all(0.05 < float(each.detach().square().mean().sqrt()) < 3 for each in maps)
    blocks = [module for module in network.modules() if type(module).__name__ == "_Block"]
    assert len(blocks) == 5
    x = torch.randn(1, blocks[0].branch[0].in_channels, 8, 8)
    assert torch.equal(blocks[0](x), x)
    assert not any("Norm" in type(module).__name__ for module in network.modules())


def test_r3gan_halves_by_the_bilinear_filter():
    down = next(m for m in R3ganDiscriminator((1, 16, 16), width=2).modules() if type(m).__name__ == "_Down")
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert torch.allclose(down(ramp)[0, 0, 0, 1:3], torch.tensor([2.5, 4.5]))
    assert torch.allclose(down(torch.ones(1, 1, 7, 9)), torch.ones(1, 1, 4, 5))


@pytest.mark.parametrize("size", [(16, 16), (28, 28), (32, 64), (128, 128)])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_the_residual_generator_makes_pictures(size, norm):
    network = ResNetGenerator((3, *size), width=4, latent=6, norm=norm)
    assert network.latent_shape((3, *size)) == (6,)
    made = network(None, torch.randn(2, 6))
    assert made.shape == (2, 3, *size) and made.abs().max() <= 1
    assert not torch.equal(made[0], made[1])
    with pytest.raises(PluginError, match="from a latent"):
        network(None, None)
    assert not list(ResNetOptions().complaints(Context(image_size=size)))


@pytest.mark.parametrize("size", [(8, 8), (30, 30), (28, 29)])
def test_sizes_that_do_not_double_are_refused(size):
    assert list(ResNetOptions().complaints(Context(image_size=size)))


# The residual U-Net -----------------------------------------------------------------------------


def test_the_residual_u_net_begins_grey_and_every_weight_is_reached():
    network = ResUNet(3, width=8, depth=3)
    seen = Measured(view(2).y, view(2).observed)
    made = network(seen, None).detach()
    assert made.shape == (2, 3, 32, 32) and made.abs().mean() < 0.1
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for _ in range(4):  # branches begin at zero: what lies before their last layer is reached later
        optimizer.zero_grad()
        (network(seen, None) - seen.y).square().mean().backward()
        optimizer.step()
    missed = [name for name, weight in network.named_parameters() if not weight.grad.any()]
    assert missed == []


def test_attention_reaches_from_corner_to_corner():
    networks = {attention: ResUNet(1, width=8, depth=2, attention=attention) for attention in (True, False)}
    for attention, network in networks.items():
        for module in network.modules():  # as after some training: nothing is zero
            if isinstance(module, nn.Conv2d) and not module.weight.any():
                nn.init.normal_(module.weight, std=0.1)
        y = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0)).requires_grad_()
        network(Measured(y, torch.ones(1, 1, 128, 128, dtype=torch.bool)), None)[0, 0, 0, 0].backward()
        assert bool((y.grad[0, 0, -8:, -8:] != 0).any()) == attention


def test_a_picture_s_fill_does_not_depend_on_the_others():
    network = ResUNet(3, width=8, depth=2)
    seen = view(4)
    together = network(Measured(seen.y, seen.observed), None)
    alone = network(Measured(seen.y[:1], seen.observed[:1]), None)
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)
