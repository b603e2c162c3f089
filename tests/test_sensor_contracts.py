"""Every built-in sensor keeps its contract in every option corner."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from waiting import Waits

from ambientkit import Context, Engine, Options
from ambientkit.testing import check_component, option_corners

ENGINE = Engine(discover=False)
REGISTRY = ENGINE.plugins.registry
SHAPE = (3, 24, 28)
FIXED: dict[str, dict[str, Any]] = {
    "block_patch": {"size": 6},
    "keep_patch": {"size": 9},
    "extract_patch": {"size": 6},
    "observed_square": {"size": 8},
    "text_overlay": {"scale": (1, 1), "characters": 2, "lines": 1},
    "speckle": {"looks": 4},  # the most looks are drawn one by one, in seconds
    "convolve_noise": {"size": 5},  # and so are the widest kernels
}
"""Options at which sensors fit into small pictures, and take no time."""
NEED_MORE = {
    "mask_from_data": "a folder of masks: tests/test_mask_files.py",
    "learned_masks": "a run that makes masks: tests/test_learned_masks.py",
    "sequence": "other sensors: below",
}
LOOKS = {"poisson_noise": "it sums as far as the rarest count asks for"}
BLIND = "every_pixel_is_sometimes_seen"
WAIVED = {
    f"half-sides=('{side}',)": {BLIND: "one half is always hidden, as the options ask for"}
    for side in ("left", "right", "top", "bottom")
}
LEFT_OUT = {"drop_rows_columns-p=0.999": "of so small a picture next to nothing is ever seen"}


def quarters() -> torch.Tensor:
    """Four masks, each of which hides a quarter of the picture."""
    masks = torch.zeros(4, 1, *SHAPE[1:], dtype=torch.bool)
    for number in range(4):
        row, column = divmod(number, 2)
        masks[number, :, 12 * row : 12 * row + 12, 14 * column : 14 * column + 14] = True
    return masks


CONTEXT = Context(SHAPE[1:], SHAPE, SHAPE, data_masks=quarters())
KINDS = [kind for kind in REGISTRY.names("measurement") if "/" not in kind]


def corners() -> list[Any]:
    """A test for each set of options that the sensor does not refuse for such pictures."""
    found = []
    for kind in KINDS:
        if kind in NEED_MORE:
            continue
        options = ENGINE.plugins.require("measurement", kind).component.options
        for label, corner in option_corners(options, FIXED.get(kind)).items():
            name = f"{kind}-{label}"
            refused = [each for each in corner.complaints(CONTEXT) if not each.warning]
            if not refused and name not in LEFT_OUT:
                found.append(pytest.param(kind, corner, WAIVED.get(name), id=name))
    return found


@pytest.mark.parametrize(("kind", "options", "waived"), corners())
def test_every_built_in_sensor_keeps_its_contract(kind: str, options: Options, waived: dict[str, str] | None):
    entry = ENGINE.plugins.require("measurement", kind)
    assert check_component(entry, options=options, context=CONTEXT, waived=waived)


@pytest.mark.parametrize(("kind", "options", "waived"), corners())
def test_no_built_in_sensor_makes_a_gpu_wait(kind: str, options: Options, waived: dict[str, str] | None):
    """Once what it keeps was sent there. A step of training could not be recorded, and would be slow."""
    if kind in LOOKS:
        pytest.skip(f"{kind} looks at values: {LOOKS[kind]}")
    sensor = ENGINE.plugins.require("measurement", kind).component.build(options, CONTEXT)
    images = torch.zeros(4, *SHAPE)
    for _ in range(2):
        with Waits() as waits:
            theta = sensor.sample(4, SHAPE, torch.Generator().manual_seed(0))
            sensor.measure(images, theta), sensor.observed(theta, SHAPE), sensor.known(theta)
    assert not waits.found


def test_waits_are_noted():
    with Waits() as waits:
        numbers = torch.arange(4.0)
        numbers[numbers > 2], numbers.sum().item(), numbers.new_tensor(3), numbers.nonzero()
    assert len(waits.found) == 4


def test_no_sensor_is_left_out():
    tested = {case.values[0] for case in corners()}
    assert tested | set(NEED_MORE) == set(KINDS)
    names = {case.id for case in corners()}
    assert set(WAIVED) <= names and len(names) > 100
    assert not names & set(LEFT_OUT)


BLOCK = {"kind": "block_patch", "size": 6}
NOISE = {"kind": "gaussian_noise", "sigma": 0.1}
SEQUENCES = {
    "two masks": [BLOCK, {"kind": "drop_rows", "p": 0.3}],
    "masks of two fills": [BLOCK, {"kind": "drop_rows", "p": 0.3, "fill": -1.0}],
    "noise, then a block": [NOISE, BLOCK],
    "a block, then noise": [BLOCK, NOISE],
    "blur, then a block": [{"kind": "motion_blur", "length": [3, 5]}, BLOCK],
    "a block, then fewer pixels": [BLOCK, {"kind": "downsample"}],
    "fewer pixels, then a projection": [
        {"kind": "downsample"},
        {"kind": "pad_rotate_project_theta", "angles": 2},
    ],
    "one in another": [{"kind": "sequence", "sensors": [NOISE]}, {"kind": "quantise"}],
}


@pytest.mark.parametrize("sensors", SEQUENCES.values(), ids=SEQUENCES)
def test_sequences_keep_the_contract(sensors):
    entry = ENGINE.plugins.require("measurement", "sequence")
    options = {"sensors": sensors}
    assert check_component(entry, options=options, context=CONTEXT, plugins=ENGINE.plugins)
