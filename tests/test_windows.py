"""Windows around holes, and completing through them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ambientkit_plugins.glcic import GlcicOptions, register_generators
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from ambientkit import Context, Generator, Measured
from ambientkit.completion import TrainedRun
from ambientkit.errors import InputError, RunError
from ambientkit.machine import choose
from ambientkit.picture_files import MaskSource, complete_files
from ambientkit.windows import CELL, Window, windows

CPU = choose("cpu", "fp32")
HOLES = st.lists(st.tuples(*[st.integers(0, 299)] * 2, *[st.integers(1, 60)] * 2), max_size=6)


def with_holes(holes, height: int = 300, width: int = 220) -> torch.Tensor:
    hidden = torch.zeros(height, width, dtype=torch.bool)
    for top, left, tall, wide in holes:
        hidden[top : top + tall, left : left + wide] = True
    return hidden


@given(HOLES, st.integers(1, 90), st.sampled_from([1, 4, 8]), st.sampled_from([(0, 0), (64, 48), (999, 3)]))
def test_windows_hold_all_holes_with_what_lies_around_and_nothing_twice(holes, around, multiple, least):
    hidden = with_holes(holes)
    height, width = hidden.shape
    found = windows(hidden, around, multiple, least)
    times = torch.zeros(height, width, dtype=torch.int)
    for window in found:
        times[window.place] += 1
        assert hidden[window.place].any(), "a window without a hole"
        assert window.top % multiple == window.left % multiple == 0
        assert window.bottom in (height, window.bottom // multiple * multiple)
        assert window.right in (width, window.right // multiple * multiple)
        assert window.bottom - window.top >= min(height, max(multiple, least[0])) // 2
        assert window.right - window.left >= min(width, max(multiple, least[1])) // 2
    assert times.max() <= 1 and bool(times[hidden].all())
    rows, columns = hidden.nonzero(as_tuple=True)
    for row, column in zip(rows.tolist()[::97], columns.tolist()[::97], strict=True):
        near = times[max(0, row - around) : row + around + 1, max(0, column - around) : column + around + 1]
        assert bool(near.all()), "the network would not be shown what lies around"


def test_holes_that_lie_apart_have_windows_of_their_own():
    hidden = with_holes([(10, 10, 20, 20), (200, 150, 5, 5)])
    assert windows(hidden, 16, 4) == [Window(0, 0, 48, 48), Window(184, 132, 224, 172)]
    assert windows(hidden, 90, 4) == [Window(0, 0, 296, 220)]
    assert windows(torch.zeros(9, 9, dtype=torch.bool), 16, 4) == []


def test_a_window_of_a_size_has_its_hole_in_the_middle_as_far_as_the_picture_goes():
    def of(*hole):
        return windows(with_holes([hole], 200, 200), 4, least=(64, 64))

    assert of(90, 90, 20, 10) == [Window(68, 63, 132, 127)]
    assert of(0, 195, 5, 5) == [Window(0, 165, 35, 200)]
    assert of(10, 90, 60, 10) == [Window(6, 63, 74, 127)]  # a larger hole has 4 pixels beside it all the same


def test_a_hole_in_several_cells_has_one_window():
    hidden = with_holes([(CELL - 1, CELL - 1, 2, 2)])
    assert windows(hidden, 1, 1) == [Window(CELL - 2, CELL - 2, CELL + 2, CELL + 2)]


class Spy(nn.Module, Generator):
    """Remembers the shapes that it is shown; makes the picture's mean, and the latent where it takes one."""

    multiple = 4

    def __init__(self, latent: bool = False) -> None:
        super().__init__()
        self.latent, self.seen = latent, []

    def latent_shape(self, image_shape):
        return (1,) if self.latent else None

    def forward(self, measured, latent):
        self.seen.append(measured)
        mean = measured.y.mean((1, 2, 3), keepdim=True)
        return (mean if latent is None else latent.view(-1, 1, 1, 1)).expand_as(measured.y)


def picture(n: int = 1, height: int = 120, width: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1
    observed = torch.ones(n, 1, height, width, dtype=torch.bool)
    for number in range(n):
        observed[number, :, 40 + number : 50, 30:36] = False
    return images, observed


def test_the_network_is_shown_the_holes_and_what_lies_around_them():
    images, observed = picture()
    spy = Spy()
    completed = TrainedRun(spy, CPU, (3, 16, 16), 1.0, Path("run")).complete(images, observed, around=8)
    (shown,) = spy.seen
    assert shown.y.shape == (1, 3, 28, 24)  # rows 32 to 58 and columns 20 to 44, in multiples of 4
    assert torch.equal(shown.y[..., :8, :], images[..., 32:40, 20:44])
    assert torch.equal(completed[observed.expand_as(images)], images[observed.expand_as(images)])
    assert len(completed[~observed.expand_as(images)].unique()) == 1


def test_what_is_shown_of_a_larger_picture_is_as_large_as_those_of_the_training():
    def shown(height, width, **options):
        images, observed = picture(1, height, width)
        spy = Spy()
        TrainedRun(spy, CPU, (3, 64, 64), 1.0, Path("run")).complete(images, observed, **options)
        (measured,) = spy.seen
        return tuple(measured.y.shape[-2:])

    assert shown(200, 300) == (68, 68)  # it begins at a multiple of 4
    assert shown(60, 300) == (48, 68)  # its hole lies 10 pixels from the edge
    assert shown(64, 64) == (64, 64) and shown(52, 64) == (52, 64)
    assert shown(200, 300, around="all") == (200, 300)


def test_pictures_as_large_as_those_of_the_training_are_shown_together():
    spy = Spy()
    TrainedRun(spy, CPU, (3, 64, 64), 1.0, Path("run")).complete(*picture(3, 64, 60))
    assert [len(measured.y) for measured in spy.seen] == [3]


def test_a_network_that_looks_no_further_makes_the_same():
    torch.manual_seed(0)
    run = TrainedRun(_small(), CPU, (3, 16, 16), 1.0, Path("run"))
    images, observed = picture(2)
    whole = run.complete(images, observed, around="all")
    torch.testing.assert_close(run.complete(images, observed, around=12), whole)
    assert not torch.allclose(run.complete(images, observed, around=1), whole, atol=1e-4)


def _small() -> nn.Module:
    """Convolutions, a stride, and an enlargement; each pixel follows from those up to 11 away."""

    class Small(nn.Module, Generator):
        multiple = 2

        def __init__(self) -> None:
            super().__init__()
            self.down, self.wide = nn.Conv2d(4, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 4, dilation=4)
            self.up = nn.ConvTranspose2d(8, 3, 4, 2, 1)

        def forward(self, measured, latent):
            shown = torch.cat([measured.y, measured.observed.float()], 1)
            return self.up(torch.tanh(self.wide(torch.tanh(self.down(shown)))))

    return Small().eval()


def test_glcic_looks_as_far_as_the_docs_say():
    (component,) = register_generators()
    network = component.build(GlcicOptions(width=2), Context((64, 64), (3, 64, 64), (3, 64, 64))).eval()
    shown = torch.zeros(1, 3, 320, 320)
    shown[..., 160:164, 160:164] = torch.nan
    with torch.no_grad():
        made = network(Measured(shown, torch.ones(1, 1, 320, 320, dtype=torch.bool)), None)
    rows = made.isnan().any(1).any(2).nonzero()[:, 1]
    assert (160 - int(rows.min()), int(rows.max()) - 163) == (147, 151)


def test_what_is_hidden_is_not_read_and_pictures_are_completed_each_by_its_own():
    run = TrainedRun(_small(), CPU, (3, 16, 16), 1.0, Path("run"))
    images, observed = picture(3)
    completed = run.complete(images, observed, around=8)
    other = run.complete(torch.where(observed, images, torch.nan), observed, around=8)
    assert torch.equal(completed, other)
    for number in range(3):
        one = slice(number, number + 1)
        torch.testing.assert_close(run.complete(images[one], observed[one], around=8), completed[one])


def test_fills_differ_by_latent_and_follow_the_seed():
    run = TrainedRun(Spy(latent=True), CPU, (3, 16, 16), 1.0, Path("run"))
    images, observed = picture(2)
    fills = run.complete(images, observed, samples=2, around=8)
    assert torch.equal(fills, run.complete(images, observed, samples=2))  # its latents know no size
    assert not torch.equal(fills[0], fills[1])


def test_what_was_reported_goes_with_its_picture():
    class Gained(nn.Module, Generator):
        def forward(self, measured, latent):
            return measured.known["gain"].view(-1, 1, 1, 1).expand_as(measured.y)

    images, observed = picture(2)
    run = TrainedRun(Gained(), CPU, (3, 8, 8), 1.0, Path("run"), known_shapes={"gain": ()})
    made = run.complete(images, observed, known={"gain": torch.tensor([0.25, -0.5])}, around=4)
    for number, gain in enumerate((0.25, -0.5)):
        assert (made[number][~observed[number].expand(3, -1, -1)] == gain).all()


def test_where_there_is_nothing_to_look_around_it_is_refused():
    images, observed = picture()
    with pytest.raises(InputError, match="around is 0"):
        TrainedRun(Spy(), CPU, (3, 16, 16), 1.0, Path("run")).complete(images, observed, around=0)
    restores = TrainedRun(Spy(), CPU, (3, 16, 16), 1.0, Path("run"), composite=False)
    with pytest.raises(InputError, match="makes whole pictures anew; leave out `around`"):
        restores.complete(images, observed, around=8)


def test_a_picture_for_which_memory_does_not_suffice_is_named_with_the_remedy(tmp_path):
    class Greedy(Spy):
        def forward(self, measured, latent):
            if measured.y.shape[-1] > 64:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().forward(measured, latent)

    pixels = np.full((100, 120, 3), 90, np.uint8)
    pixels[40:50, 40:60] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    run = TrainedRun(Greedy(), CPU, (3, 16, 16), 1.0, Path("run"))
    source = MaskSource(key_colour=(255, 255, 255))
    said = r"a\.png: out of memory for a picture of 100 x 120 pixels; "
    with pytest.raises(RunError, match=said + "leave out --around all"):
        list(complete_files(run, [tmp_path / "a.png"], tmp_path / "out", source, around="all"))
    with pytest.raises(RunError, match=said + "cut it in parts"):
        list(complete_files(run, [tmp_path / "a.png"], tmp_path / "out", source, around=40))
    (done,) = complete_files(run, [tmp_path / "a.png"], tmp_path / "out", source)
    assert done.written[0].exists()
