"""The quickstart does what its header promises. Slow: it is run at full length.

PSNRs are computed here, apart from the metrics and yardsticks that the run itself prints.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import torch

from ambientkit import Engine, hookimpl

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
cv2 = pytest.importorskip("cv2", reason="needs ambientkit[evaluate]")

SECONDS = os.environ.get("AMBIENTKIT_TEST_SECONDS")
"""Where it is set, the run must end within so many seconds; 240 is promised for two idle cores."""
HELD_OUT = 256


class Last:
    """Keeps the held-out pictures as the finished network completes them."""

    @hookimpl
    def on_step_end(self, run, report):
        if report.step == run.total_steps:
            self.evaluated = report.samples(HELD_OUT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(result, held-out pictures, seconds) of the recipe as it is shipped, on all cores."""
    folder = tmp_path_factory.mktemp("quickstart")
    engine, last = Engine(discover=False, cache_dir=folder / "cache"), Last()
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    begun = time.monotonic()
    try:
        result = engine.run("quickstart", out=folder / "runs", device="cpu", callbacks=[last])
    finally:
        torch.set_num_threads(before)
    return result, last.evaluated, time.monotonic() - begun


def hole_psnr(pictures: torch.Tensor, evaluated) -> float:
    """Mean over pictures of the PSNR over hidden pixels and all channels, peak 1, pictures in [0, 1]."""
    hidden = (~evaluated.observed).expand_as(pictures)
    squares = torch.where(hidden, ((pictures - evaluated.truth) / 2).square(), 0)
    errors = squares.flatten(1).sum(1) / hidden.flatten(1).sum(1)
    return float((-10 * errors.log10()).mean())


def telea(evaluated) -> torch.Tensor:
    filled = []
    for y, observed in zip(evaluated.y, evaluated.observed, strict=True):
        pixels = ((y + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy()
        mask = (~observed[0]).byte().numpy()
        filled.append(cv2.inpaint(pixels, mask, 3, cv2.INPAINT_TELEA))
    return torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2) / 127.5 - 1


def test_is_three_decibels_above_telea_on_the_same_holes(finished):
    _, evaluated, _ = finished
    assert len(evaluated.y) == HELD_OUT
    yardstick = hole_psnr(telea(evaluated), evaluated)
    assert yardstick >= 16, "toys that fool classical inpainting prove nothing"
    assert hole_psnr(evaluated.made, evaluated) >= yardstick + 3


def test_its_table_says_the_same(finished):
    result, evaluated, _ = finished
    assert result.figures["hidden_psnr"] == pytest.approx(hole_psnr(evaluated.made, evaluated), abs=0.02)
    assert result.rows["Telea"]["hidden_psnr"] == pytest.approx(
        hole_psnr(telea(evaluated), evaluated), abs=0.1
    )
    assert result.figures["hidden_psnr"] > result.rows["harmonic fill"]["hidden_psnr"]
    assert result.figures["hidden_psnr"] > result.rows["mean fill"]["hidden_psnr"]


def test_observed_pixels_are_kept(finished):
    _, evaluated, _ = finished
    assert torch.equal(
        torch.where(evaluated.observed, evaluated.completed, 0),
        torch.where(evaluated.observed, evaluated.y, 0),
    )


@pytest.mark.skipif(SECONDS is None, reason="AMBIENTKIT_TEST_SECONDS is not set")
def test_is_fast_enough(finished):
    assert finished[2] <= float(SECONDS or 0)
