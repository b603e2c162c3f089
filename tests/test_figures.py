"""The figures: by hand on small pictures, and (with test data) against what nature and Telea give."""

import hashlib
import math
import os
from pathlib import Path

import pytest
import torch
from ambientkit_plugins.figures import register_metrics

from ambientkit import Context, Evaluated
from ambientkit.baselines import harmonic_fill, mean_fill
from ambientkit.errors import PluginError


def metric(kind):
    component = {c.kind: c for c in register_metrics()}[kind]
    return component.build(component.options(), Context())


def figure(kind, evaluated):
    found = metric(kind)
    return found.summary(found.per_picture(evaluated))


def block(n=1, side=24, top=9, left=9, size=6):
    observed = torch.ones(n, 1, side, side, dtype=torch.bool)
    observed[:, :, top : top + size, left : left + size] = False
    return observed


def evaluated(made, observed, truth=None, y=None):
    y = made if y is None else y
    return Evaluated(y, observed, made, torch.where(observed, y, made), truth)


def test_psnr_and_l1_by_hand():
    observed = block(2)
    truth = torch.zeros(2, 3, 24, 24)
    made = torch.full_like(truth, 0.2)  # error .1 on [0, 1]: 20 dB
    made[1] = 0.02  # .01: 40 dB
    found = figure("hidden_psnr", evaluated(made, observed, truth, truth))
    assert list(found) == ["hidden_psnr", "hidden_psnr_pooled"]
    assert found["hidden_psnr"] == pytest.approx(30, abs=1e-3)
    assert found["hidden_psnr_pooled"] == pytest.approx(-10 * math.log10((0.01 + 0.0001) / 2), abs=1e-3)
    assert figure("hidden_l1", evaluated(made, observed, truth, truth))["hidden_l1"] == pytest.approx(0.055)
    share = 36 / 24**2
    expected = 30 - 10 * math.log10(share)
    assert figure("composited_psnr", evaluated(made, observed, truth, truth))[
        "composited_psnr"
    ] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", ["hidden_ssim", "composited_ssim"])
def test_pictures_that_are_too_small_for_the_window_of_ssim_are_told(kind):
    component = {c.kind: c for c in register_metrics()}[kind]
    told = "pictures of 6x5 are too small for its window of 11 pixels: they need 6 or more a side; take"
    with pytest.raises(PluginError, match=told):
        component.build(component.options(), Context(image_shape=(3, 6, 5)))
    observed, picture = torch.zeros(1, 1, 6, 5, dtype=torch.bool), torch.zeros(1, 3, 6, 5)
    with pytest.raises(PluginError, match=told):
        figure(kind, Evaluated(picture, observed, picture, picture, picture))
    assert component.build(component.options(), Context(image_shape=(3, 6, 6)))
    small = block(side=6, top=1, left=1, size=3)
    assert figure(kind, evaluated(torch.zeros(1, 3, 6, 6), small, torch.zeros(1, 3, 6, 6))) == {kind: 1.0}


CAP = 10 * math.log10(12 * 255**2)  # dB of rounding to 8 bits


@pytest.mark.parametrize("kind", ["hidden_psnr", "composited_psnr"])
def test_a_picture_that_is_met_exactly_does_not_make_the_mean_infinite(kind):
    observed, truth = block(2), torch.full((2, 1, 24, 24), -1.0)
    made = truth.clone()
    made[1] += 0.2
    values = metric(kind).per_picture(evaluated(made, observed, truth))
    alone = figure(kind, evaluated(made[1:], observed[1:], truth[1:]))
    assert values[kind][0].item() == pytest.approx(CAP) == pytest.approx(58.92, abs=0.005)
    found = metric(kind).summary(values)
    assert found[kind] == pytest.approx((CAP + alone[kind]) / 2)
    assert found[f"{kind}_pooled"] == pytest.approx(alone[kind] + 10 * math.log10(2))
    perfect = figure(kind, evaluated(truth, observed, truth))
    assert perfect == pytest.approx({kind: CAP, f"{kind}_pooled": CAP})


def test_the_psnr_of_ordinary_pictures_is_what_it_always_was():
    generator = torch.Generator().manual_seed(0)
    truth, made = (torch.rand(5, 3, 24, 24, generator=generator) * 2 - 1 for _ in range(2))
    made = truth + (made - truth) * torch.tensor([1, 0.1, 0.01, 0.005, 0.004]).view(5, 1, 1, 1)
    observed = block(5)
    error = torch.where(observed, 0, ((made + 1) / 2 - (truth + 1) / 2).square())
    error = error.flatten(1).sum(1) / (3 * 36)
    values = metric("hidden_psnr").per_picture(evaluated(made, observed, truth))
    assert torch.equal(values["hidden_psnr"], -10 * error.log10())
    assert metric("hidden_psnr").summary(values)["hidden_psnr_pooled"] == pytest.approx(
        float(-10 * error.double().mean().log10()), rel=1e-6
    )


def test_only_hidden_pixels_count():
    observed, truth = block(), torch.rand(1, 3, 24, 24)
    made = torch.where(observed, torch.full_like(truth, float("nan")), truth + 0.2)
    assert figure("hidden_psnr", evaluated(made, observed, truth, truth))["hidden_psnr"] == pytest.approx(
        20, abs=1e-3
    )


@pytest.mark.parametrize("kind", ["hidden_psnr", "hidden_l1", "seam", "inside_outside", "colour_step"])
def test_pictures_without_a_hole_are_left_out(kind):
    generator = torch.Generator().manual_seed(0)
    observed, made = block(2), torch.rand(2, 3, 24, 24, generator=generator)
    truth = torch.rand(2, 3, 24, 24, generator=generator)
    one = figure(kind, evaluated(made[:1], observed[:1], truth[:1]))
    observed[1] = True
    values = metric(kind).per_picture(evaluated(made, observed, truth))
    assert all(value.shape[0] == 2 and value[1].isnan() for value in values.values())
    assert metric(kind).summary(values) == pytest.approx(one)
    observed[:] = True
    nothing = figure(kind, evaluated(made, observed, truth))
    assert nothing == {}
    assert metric(kind).score(nothing) == -math.inf


@pytest.mark.parametrize("kind", ["seam", "inside_outside", "colour_step"])
def test_a_picture_that_is_all_hidden_has_no_surroundings(kind):
    observed = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    assert figure(kind, evaluated(torch.rand(1, 3, 24, 24), observed)) == {}


def test_a_ramp_has_natural_figures():
    ramp = torch.linspace(-1, 1, 24).view(1, 1, 1, 24) + torch.linspace(0, 0.5, 24).view(1, 1, 24, 1)
    ramp = (ramp / 2).expand(1, 3, 24, 24)
    assert figure("seam", evaluated(ramp, block()))["seam"] == pytest.approx(1, abs=1e-4)
    assert figure("inside_outside", evaluated(ramp, block()))["inside_outside"] == pytest.approx(1, abs=0.03)


def test_seam_by_hand():
    columns = torch.arange(24).remainder(2).float().view(1, 1, 1, 24).expand(1, 3, 24, 24)
    made = columns.clone()  # horizontal steps of 1 (.5 on [0, 1]), vertical ones of 0: .25 on all lines
    observed = block()
    made[:, :, 9:15, 9:15] = 5.0
    inside, outside = 5.0, columns[0, 0]
    steps = [abs(inside - outside[r, c].item()) for r in range(9, 15) for c in (8, 15)]
    steps += [abs(inside - outside[r, c].item()) for c in range(9, 15) for r in (8, 15)]
    border = sum(steps) / len(steps)
    # Lines d = 3..6 outside: as many vertical pairs, which have no step, as horizontal ones.
    expected = border / 0.5
    assert figure("seam", evaluated(made, observed))["seam"] == pytest.approx(expected, rel=1e-5)
    assert metric("seam").score({"seam": 1.25}) == metric("seam").score({"seam": 0.75}) == -0.25


def test_inside_outside_of_a_flat_fill_is_zero():
    picture = torch.rand(1, 3, 24, 24)
    picture[:, :, 9:15, 9:15] = 0
    assert figure("inside_outside", evaluated(picture, block()))["inside_outside"] == 0


def test_colour_step_by_hand():
    made = torch.zeros(1, 3, 24, 24)
    made[:, :, 12:18, 12:18] = torch.tensor([0.2, 0.4, -0.6]).view(3, 1, 1)
    found = figure("colour_step", evaluated(made, block(top=12, left=12)))
    assert found["colour_step"] == pytest.approx(255 * (0.1 + 0.2 + 0.3) / 3, rel=1e-5)
    assert found["colour_step_natural"] == 0  # there is room for a virtual hole, in a flat picture


def test_the_natural_colour_step_is_read_from_known_pixels_alone():
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, 3, 24, 24, generator=generator)
    observed = block(3, top=12, left=12)
    changed = torch.where(observed, picture, -picture)
    first, second = (figure("colour_step", evaluated(p, observed)) for p in (picture, changed))
    assert first["colour_step_natural"] == second["colour_step_natural"] > 0
    assert first["colour_step"] != second["colour_step"]
    assert metric("colour_step").score({"colour_step": 3.0, "colour_step_natural": 4.0}) == -0.25


def test_the_virtual_hole_above_is_where_it_should_be():
    observed = block(size=4, top=10, left=0, side=16)  # room for a copy above only: rows 2 to 5
    observed[:, :, :, 5:] = True
    picture = torch.zeros(1, 1, 16, 16)
    picture[:, :, 2:6, 0:4] = 0.5
    values = metric("colour_step").per_picture(evaluated(picture, observed))
    right = 0.0  # the copy to the right lies at columns 8 to 11, in a flat part
    assert values["colour_step_natural"].item() == pytest.approx((255 * 0.25 + right) / 2)


def test_where_there_is_no_room_the_natural_step_is_left_out():
    found = figure("colour_step", evaluated(torch.rand(1, 3, 24, 24), block(top=4, left=4, size=16)))
    assert set(found) == {"colour_step"}
    assert metric("colour_step").score(found) == -math.inf


def test_grey_pictures_and_masks_by_channel():
    made = torch.rand(2, 1, 24, 24)
    assert figure("seam", evaluated(made, block(2)))["seam"] > 0
    observed = block(2).repeat(1, 3, 1, 1)
    observed[:, 1:] = True
    truth = torch.zeros(2, 3, 24, 24)
    made = torch.full_like(truth, 0.2)
    assert figure("hidden_psnr", evaluated(made, observed, truth))["hidden_psnr"] == pytest.approx(
        20, abs=1e-3
    )


def test_what_is_missing_is_said():
    made = torch.zeros(1, 3, 24, 24)
    with pytest.raises(PluginError, match="clean pictures"):
        figure("hidden_l1", evaluated(made, block()))
    with pytest.raises(PluginError, match="does not say"):
        figure("seam", Evaluated(made, None, made, made))


def test_facts_say_who_needs_the_truth():
    needs = {c.kind: (c.options().facts(), c.build(c.options(), Context())) for c in register_metrics()}
    for facts, built in needs.values():
        assert bool(facts & {"truth", "clean"}) == built.needs_truth
        assert ("remeasured" in facts) == built.needs_remeasured
        assert ("fills" in facts) == built.needs_fills
    assert {kind for kind, (_, built) in needs.items() if not built.needs_truth} == {
        "seam",
        "inside_outside",
        "colour_step",
        "saturation",
        "diversity",
        "remeasured_kid",
        "remeasured_fid",
    }


def test_mean_fill_by_hand():
    y = torch.tensor([[[[0.0, 1.0], [0.5, float("nan")]]]])
    observed = torch.tensor([[[[True, True], [True, False]]]])
    assert torch.equal(mean_fill(y, observed), torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]]))


def test_harmonic_fill_solves_the_laplace_equation():
    generator = torch.Generator().manual_seed(0)
    y, observed = torch.rand(3, 2, 20, 16, generator=generator), block(3, 24)[:, :, :20, :16].clone()
    observed[1] = torch.rand(1, 20, 16, generator=generator) > 0.5
    observed[2, :, :, 10:] = False  # a hole that reaches the picture's edge
    filled = harmonic_fill(y, observed)
    seen = observed.expand_as(y)
    assert torch.equal(filled[seen], y[seen])
    padded = torch.nn.functional.pad(filled, (1, 1, 1, 1), mode="replicate")
    mean = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:] + padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    assert (mean / 4 - filled)[~seen].abs().max() < 2e-3
    assert filled.min() >= y.min() - 1e-3  # maximum principle
    assert filled.max() <= y.max() + 1e-3


def test_harmonic_fill_continues_a_ramp():
    ramp = torch.linspace(-1, 1, 24).view(1, 1, 1, 24).expand(1, 3, 24, 24)
    y = torch.where(block(), ramp, torch.tensor(float("nan")))
    assert torch.allclose(harmonic_fill(y, block()), ramp, atol=5e-3)
    nothing = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    assert torch.equal(harmonic_fill(ramp, nothing), torch.zeros(1, 3, 24, 24))


def _faces(count):
    import numpy as np
    from PIL import Image

    root = os.environ.get("AMBIENTKIT_TEST_DATA")
    folder = Path(root or ".") / "faces"
    if not root or not folder.is_dir():
        pytest.skip("AMBIENTKIT_TEST_DATA names no folder with faces/")
    names = [
        p for p in sorted(folder.glob("*.jpg")) if int(hashlib.sha1(p.name.encode()).hexdigest(), 16) % 8 == 0
    ]
    pictures = [np.array(Image.open(p).convert("RGB").resize((64, 64))) for p in names[:1000:5][:count]]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_anchors_on_real_faces():
    cv2 = pytest.importorskip("cv2")
    import numpy as np
    from ambientkit_plugins.masks.sensors import BlockPatch

    faces = _faces(200)
    sensor = BlockPatch((28, 28))
    theta = sensor.sample(len(faces), (3, 64, 64), torch.Generator().manual_seed(0))
    y, observed = sensor.measure(faces, theta), sensor.observed(theta, (3, 64, 64))
    bytes_ = ((y + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    holes = (~observed[:, 0]).byte().numpy()
    painted = [cv2.inpaint(p, hole, 3, cv2.INPAINT_TELEA) for p, hole in zip(bytes_, holes, strict=True)]
    telea = torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2).float() / 127.5 - 1
    nature, filled = (evaluated(made, observed, faces, y) for made in (faces, telea))
    assert figure("seam", nature)["seam"] == pytest.approx(1.01, abs=0.06)
    assert figure("seam", filled)["seam"] == pytest.approx(0.54, abs=0.05)
    assert figure("inside_outside", nature)["inside_outside"] == pytest.approx(1.0, abs=0.1)
    assert figure("inside_outside", filled)["inside_outside"] < 0.6
    colour = figure("colour_step", nature)
    assert colour["colour_step"] == pytest.approx(6, abs=1)
    assert colour["colour_step_natural"] == pytest.approx(colour["colour_step"], rel=0.15)
    assert figure("colour_step", filled)["colour_step"] < 3
    assert figure("hidden_psnr", filled)["hidden_psnr"] == pytest.approx(17.5, abs=0.7)
