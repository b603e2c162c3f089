"""Who is portrayed: the few numbers that a portrait is drawn from.

Only uniform draws of a fixed generator are used, so the same (seed, index) gives the same person
with every version of numpy.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Colour = tuple[float, float, float]
T = TypeVar("T")

SKIN: tuple[Colour, ...] = (
    (0.31, 0.20, 0.15),
    (0.50, 0.33, 0.23),
    (0.71, 0.50, 0.36),
    (0.87, 0.68, 0.54),
    (0.96, 0.82, 0.72),
)
HAIR: tuple[Colour, ...] = (
    (0.10, 0.08, 0.08),
    (0.22, 0.14, 0.10),
    (0.38, 0.24, 0.15),
    (0.54, 0.26, 0.14),
    (0.82, 0.66, 0.38),
    (0.66, 0.65, 0.64),
)
EYES: tuple[Colour, ...] = (
    (0.28, 0.17, 0.09),
    (0.42, 0.30, 0.14),
    (0.25, 0.42, 0.27),
    (0.24, 0.43, 0.64),
    (0.42, 0.48, 0.53),
)


@dataclass(frozen=True)
class Pose:
    """Where the head is: picture coordinates run over -1..1 along the shorter side, y down."""

    x: float
    y: float
    scale: float  # half the head's height
    tilt: float  # radians
    yaw: float  # sideways shift of the features, in head units
    light: tuple[float, float, float]  # towards the light, roughly of unit length


@dataclass(frozen=True)
class Scene:
    """Background and clothes."""

    top: Colour
    bottom: Colour
    pattern: float  # strength of the wallpaper's stripes, 0 for none
    pattern_pitch: float
    pattern_slope: float
    clothes: Colour
    collar: Colour
    stripes: bool
    grain: float  # amplitude of the film grain, of full scale


@dataclass(frozen=True)
class Hair:
    """Hair in head units: the head spans -1..1 from crown to chin."""

    colour: Colour
    cap: float  # thickness above the skull, 0 for bald
    back: float  # how far it falls behind the head, 0 for short
    line: float  # height of the hairline in the middle of the forehead
    curve: float  # how fast the hairline falls to the sides
    part: float  # slope of the hairline
    curl: float  # bumpiness of the outline
    bun: bool
    beard: float  # opacity
    moustache: float  # opacity


@dataclass(frozen=True)
class Features:
    """The face itself, in head units."""

    skin: Colour
    iris: Colour
    lips: Colour
    width: float
    jaw: float
    eye_spread: float
    eye_size: float
    eye_open: float
    gaze: float
    brow: float
    nose: float
    mouth_width: float
    smile: float
    teeth: bool
    blush: float
    glasses: Colour | None
    round_glasses: bool


@dataclass(frozen=True)
class Traits:
    """Everything that tells one portrait from another."""

    pose: Pose
    scene: Scene
    hair: Hair
    features: Features
    grain_seed: tuple[int, int]


class _Draw:
    """Uniform draws, one after the other."""

    def __init__(self, seed: int, index: int) -> None:
        self._values = iter(np.random.Generator(np.random.PCG64([seed, index, 0])).random(80).tolist())

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * float(next(self._values))

    def chance(self, probability: float) -> bool:
        return float(next(self._values)) < probability

    def among(self, choices: Sequence[T]) -> T:
        return choices[int(next(self._values) * len(choices))]

    def colour(self, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
        return colorsys.hsv_to_rgb(self.between(0, 1), self.between(*saturation), self.between(*value))


def draw_traits(seed: int, index: int) -> Traits:
    """The person number `index` of `seed`."""
    draw = _Draw(seed, index)
    features = _features(draw)
    return Traits(_pose(draw), _scene(draw), _hair(draw), features, (seed, index))


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def _skin(draw: _Draw) -> Colour:
    place = draw.between(0, len(SKIN) - 1)
    below = min(int(place), len(SKIN) - 2)
    return _mix(SKIN[below], SKIN[below + 1], place - below)


def _features(draw: _Draw) -> Features:
    skin = _skin(draw)
    return Features(
        skin=skin,
        iris=draw.among(EYES),
        lips=_mix(skin, (0.72, 0.16, 0.20), draw.between(0.3, 0.75)),
        width=draw.between(0.70, 0.80),
        jaw=draw.between(0.08, 0.26),
        eye_spread=draw.between(0.30, 0.36),
        eye_size=draw.between(0.16, 0.21),
        eye_open=draw.between(0.07, 0.11),
        gaze=draw.between(-0.04, 0.04),
        brow=draw.between(0.035, 0.065),
        nose=draw.between(0.10, 0.15),
        mouth_width=draw.between(0.22, 0.34),
        smile=draw.between(-0.02, 0.14),
        teeth=draw.chance(0.3),
        blush=draw.between(0.0, 0.35),
        glasses=draw.colour((0.1, 0.6), (0.05, 0.35)) if draw.chance(0.28) else None,
        round_glasses=draw.chance(0.5),
    )


def _pose(draw: _Draw) -> Pose:
    """Roughly aligned, as the usual sets of faces are: what is where can be learnt."""
    side = draw.between(-0.75, 0.75)
    return Pose(
        x=draw.between(-0.03, 0.03),
        y=draw.between(0.0, 0.05),
        scale=draw.between(1.0, 1.06),
        tilt=draw.between(-0.05, 0.05),
        yaw=draw.between(-0.06, 0.06),
        light=(side, draw.between(-0.55, -0.15), 0.9 - 0.5 * abs(side)),
    )


def _scene(draw: _Draw) -> Scene:
    top = draw.colour((0.1, 0.55), (0.3, 0.95))
    return Scene(
        top=top,
        bottom=_mix(top, draw.colour((0.1, 0.5), (0.2, 0.9)), 0.5),
        pattern=draw.between(0.03, 0.10) if draw.chance(0.5) else 0.0,
        pattern_pitch=draw.between(0.22, 0.45),
        pattern_slope=draw.between(-0.8, 0.8),
        clothes=draw.colour((0.2, 0.8), (0.15, 0.9)),
        collar=draw.colour((0.0, 0.5), (0.3, 1.0)),
        stripes=draw.chance(0.4),
        grain=draw.between(0.006, 0.018),
    )


def _hair(draw: _Draw) -> Hair:
    bald, long = draw.chance(0.08), draw.chance(0.45)
    bearded = not long and draw.chance(0.4)
    return Hair(
        colour=_mix(draw.among(HAIR), draw.among(HAIR), 0.15),
        cap=0.0 if bald else draw.between(0.08, 0.24),
        back=draw.between(0.7, 1.5) if long and not bald else 0.0,
        line=draw.between(-0.72, -0.42),
        curve=draw.between(0.2, 1.1),
        part=draw.between(-0.35, 0.35),
        curl=draw.between(0.03, 0.07) if draw.chance(0.35) else 0.0,
        bun=draw.chance(0.15),
        beard=draw.between(0.55, 0.95) if bearded else 0.0,
        moustache=draw.between(0.6, 0.95) if bearded or (not long and draw.chance(0.1)) else 0.0,
    )
