"""Eyes, brows, nose, mouth, moustache and glasses.

Whatever comes in pairs is painted once, in a coordinate that is mirrored at the face's axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, Field, ellipse, overlap
from .traits import Colour, Features, Hair, Pose

EYE_HEIGHT = 0.06
MOUTH_HEIGHT = 0.58
NOSE_TIP = 0.30
REACH = 0.92  # no feature lies further from the head's middle, nor further up than 0.6 of it
DARK: Colour = (0.06, 0.04, 0.04)


@dataclass(frozen=True)
class Places:
    """Coordinates of the features, (H, W)."""

    across: Field  # from the face's axis, which turns with the head
    down: Field  # from the height of the eyes
    eye: Field  # from the nearer eye's centre, outwards


def paint_face(canvas: Canvas, features: Features, hair: Hair, pose: Pose) -> None:
    """Everything between forehead and chin."""
    reach = REACH * pose.scale
    canvas = canvas.window(pose.x - reach, pose.x + reach, pose.y - 0.6 * reach, pose.y + reach)
    across = canvas.u - np.float32(pose.yaw)
    down = canvas.v + np.float32(EYE_HEIGHT)
    places = Places(across, down, np.abs(across) - np.float32(features.eye_spread))
    _cheeks(canvas, features, places)
    _nose(canvas, features, places, pose)
    _eyes(canvas, features, places)
    _brows(canvas, features, hair, places)
    _mouth(canvas, features, places)
    _moustache(canvas, hair, places)
    if features.glasses:
        _glasses(canvas, features, features.glasses, places)


def _cheeks(canvas: Canvas, features: Features, places: Places) -> None:
    cheeks = ellipse(places.eye - np.float32(0.06), places.down - np.float32(0.38), 0.2, 0.15)
    canvas.paint(canvas.inside(cheeks, 6) * np.float32(features.blush), (0.85, 0.36, 0.33))


def _eyes(canvas: Canvas, features: Features, places: Places) -> None:
    sockets = ellipse(places.eye, places.down, features.eye_size * 1.35, features.eye_open * 2.2)
    canvas.shade(canvas.inside(sockets, 3), -0.14)
    lids = ellipse(
        places.eye, places.down + np.float32(0.02), features.eye_size * 1.08, features.eye_open * 1.3
    )
    canvas.paint(canvas.inside(lids) * np.float32(0.85), DARK)
    white = ellipse(places.eye, places.down, features.eye_size, features.eye_open)
    canvas.paint(canvas.inside(white), (0.95, 0.94, 0.93))
    gaze = np.where(places.across < 0, np.float32(-features.gaze), np.float32(features.gaze))
    iris = ellipse(places.eye - gaze, places.down, 0.095, 0.095)
    canvas.paint(canvas.inside(overlap(iris, white)), features.iris)
    canvas.paint(canvas.inside(overlap(iris + np.float32(0.045), white)), DARK)


def _brows(canvas: Canvas, features: Features, hair: Hair, places: Places) -> None:
    arch = places.down + np.float32(0.25) - places.eye * places.eye * np.float32(1.2)
    brows = ellipse(places.eye, arch, features.eye_size * 1.25, features.brow)
    red, green, blue = (0.75 * part for part in hair.colour)
    canvas.paint(canvas.inside(brows) * np.float32(0.9), (red, green, blue))


def _nose(canvas: Canvas, features: Features, places: Places, pose: Pose) -> None:
    across, down = places.across - np.float32(0.5 * pose.yaw), places.down
    away = np.float32(-1.0 if pose.light[0] > 0 else 1.0)
    side = ellipse(across - away * np.float32(0.09), down - np.float32(0.16), 0.06, 0.24)
    canvas.shade(canvas.inside(side, 3), -0.22)
    ridge = ellipse(across + away * np.float32(0.02), down - np.float32(0.16), 0.04, 0.24)
    canvas.shade(canvas.inside(ridge, 3), 0.12)
    tip = down - np.float32(NOSE_TIP + 0.06)
    canvas.shade(canvas.inside(ellipse(across, tip, features.nose, 0.07), 2), -0.25)
    nostrils = ellipse(np.abs(across) - np.float32(features.nose * 0.5), tip, 0.04, 0.03)
    canvas.paint(canvas.inside(nostrils) * np.float32(0.7), DARK)


def _mouth(canvas: Canvas, features: Features, places: Places) -> None:
    bend = places.across * places.across * np.float32(features.smile * 9)
    down = places.down - np.float32(MOUTH_HEIGHT + EYE_HEIGHT) + bend
    lips = ellipse(places.across, down, features.mouth_width, 0.10)
    canvas.paint(canvas.inside(lips), features.lips)
    gap = ellipse(places.across, down, features.mouth_width * 0.85, 0.055 if features.teeth else 0.022)
    inner: Colour = (0.93, 0.91, 0.88) if features.teeth else (0.25, 0.08, 0.09)
    canvas.paint(canvas.inside(gap), inner)


def _moustache(canvas: Canvas, hair: Hair, places: Places) -> None:
    if hair.moustache:
        sag = places.across * places.across * np.float32(0.6)
        down = places.down - np.float32(NOSE_TIP + 0.20) - sag
        shape = ellipse(places.across, down, 0.32, 0.075)
        canvas.paint(canvas.inside(shape) * np.float32(hair.moustache), hair.colour)


def _glasses(canvas: Canvas, features: Features, colour: Colour, places: Places) -> None:
    height = 0.23 if features.round_glasses else 0.17
    lens = ellipse(places.eye, places.down, 0.25, height)
    canvas.paint(canvas.inside(lens) * np.float32(0.12), (0.85, 0.92, 0.98))
    rim = np.abs(lens) - np.float32(0.025)
    bridge = np.abs(places.down + np.float32(0.04)) - np.float32(0.022)
    bridge = overlap(bridge, np.abs(places.across) - np.float32(features.eye_spread - 0.24))
    canvas.paint(canvas.inside(np.minimum(rim, bridge)), colour)
