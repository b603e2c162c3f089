"""How a portrait is painted, from the wallpaper to the glasses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas, Field, as_field, ellipse, overlap, wave
from .face import paint_face
from .traits import Features, Hair, Pose, Scene, Traits

VERSION = 3
"""Rises whenever any pixel of any portrait changes; part of the data set's fingerprint."""


@dataclass(frozen=True)
class Head:
    """Fields (H, W) that several layers need."""

    distance: Field  # to the outline of the head, negative inside
    light: Field  # how much light arrives, 1 on average
    strands: Field  # hair strands, -1..1


def draw_portrait(traits: Traits, height: int, width: int) -> NDArray[np.uint8]:
    """The portrait, uint8 (3, height, width)."""
    canvas = Canvas(height, width, traits.pose)
    head = _head(canvas, traits.features, traits.pose)
    _background(canvas, traits.scene)
    _back_hair(canvas, traits.hair, head)
    _body(canvas, traits, head)
    _skin(canvas, traits.features, head)
    _beard(canvas, traits.hair, head)
    paint_face(canvas, traits.features, traits.hair, traits.pose)
    _front_hair(canvas, traits.hair, head)
    return _developed(canvas, traits.scene.grain, traits.grain_seed)


def _head(canvas: Canvas, features: Features, pose: Pose) -> Head:
    u, v = canvas.u, canvas.v
    narrowing = np.float32(features.width) * (1 - np.float32(features.jaw) * np.maximum(v, 0))
    across = u / np.maximum(narrowing, np.float32(0.3))
    square = across * across + v * v
    depth = np.sqrt(np.maximum(1 - square, 0))
    x, y, z = (np.float32(part) for part in pose.light)
    light = np.clip(across, -1, 1) * x + np.clip(v, -1, 1) * y + depth * z
    light *= np.float32(0.42)
    light += np.float32(0.72)
    distance = (np.sqrt(square) - 1) * np.float32(features.width)
    return Head(distance, light, wave(u * np.float32(5.3) + wave(v * np.float32(0.8)) * np.float32(0.45)))


def _background(canvas: Canvas, scene: Scene) -> None:
    share = np.clip(canvas.y * np.float32(0.5) + np.float32(0.5), 0, 1)
    top, bottom = as_field(scene.top), as_field(scene.bottom)
    canvas.rgb[:] = top + (bottom - top) * share
    if scene.pattern:
        slanted = canvas.x + np.float32(scene.pattern_slope) * canvas.y
        stripes = wave(slanted / np.float32(scene.pattern_pitch))
        canvas.rgb += np.clip(stripes * 2, -1, 1) * np.float32(scene.pattern)


def _hair_colour(hair: Hair, head: Head) -> Field:
    return as_field(hair.colour) * (head.light + head.strands * np.float32(0.14)) + np.float32(0.02)


def _back_hair(canvas: Canvas, hair: Hair, head: Head) -> None:
    if hair.bun:
        bun = ellipse(canvas.u, canvas.v + np.float32(1.08 + hair.cap), 0.30, 0.26)
        if hair.cap:
            canvas.paint(canvas.inside(bun), _hair_colour(hair, head))
    if hair.back:
        fall = ellipse(canvas.u, canvas.v - np.float32(0.25), 1.0, 1.05 + hair.cap + 0.2 * hair.back)
        fall += wave(canvas.v * np.float32(2.2)) * np.float32(hair.curl)
        reach = canvas.v - np.float32(hair.back)
        canvas.paint(canvas.inside(overlap(fall, reach)), _hair_colour(hair, head) * np.float32(0.82))


def _body(canvas: Canvas, traits: Traits, head: Head) -> None:
    scene, skin = traits.scene, as_field(traits.features.skin)
    u, v = canvas.u, canvas.v
    shoulders = canvas.inside(ellipse(u, v - np.float32(2.25), 1.5, 1.05))
    cloth = as_field(scene.clothes) * (head.light * np.float32(0.8) + np.float32(0.2))
    if scene.stripes:
        cloth = cloth + np.clip(wave(v * np.float32(4)) * 3, -1, 1) * np.float32(0.09)
    canvas.paint(shoulders, cloth)
    collar = canvas.inside(ellipse(u, v - np.float32(1.15), 0.55, 0.34))
    canvas.paint(collar, scene.collar)
    neck = overlap(np.abs(u) - np.float32(0.38), ellipse(u, v - np.float32(0.95), 0.5, 0.46))
    canvas.paint(canvas.inside(neck), skin * np.float32(0.72))


def _skin(canvas: Canvas, features: Features, head: Head) -> None:
    skin = as_field(features.skin)
    ears = ellipse(np.abs(canvas.u) - np.float32(features.width), canvas.v - np.float32(0.02), 0.12, 0.2)
    canvas.paint(canvas.inside(ears), skin * (head.light * np.float32(0.85)))
    canvas.paint(canvas.inside(head.distance), skin * head.light)


def _beard(canvas: Canvas, hair: Hair, head: Head) -> None:
    if not hair.beard:
        return
    edge = np.float32(0.30) - np.abs(canvas.u) * np.float32(0.35) - canvas.v
    beard = overlap(edge, head.distance - np.float32(0.04))
    canvas.paint(canvas.inside(beard, 2.5) * np.float32(hair.beard), _hair_colour(hair, head))


def _front_hair(canvas: Canvas, hair: Hair, head: Head) -> None:
    if not hair.cap:
        return
    u, v = canvas.u, canvas.v
    skull = ellipse(u, v, 0.80 + 0.6 * hair.cap, 1 + hair.cap)
    if hair.curl:
        skull += wave(u * np.float32(2.6)) * wave(v * np.float32(2.6)) * np.float32(hair.curl)
    line = np.float32(hair.line) + u * u * np.float32(hair.curve) + u * np.float32(hair.part)
    below = (v - line) * np.float32(0.7)
    sides = overlap(v - np.float32(0.15), np.float32(0.74) - np.abs(u))
    cover = canvas.inside(overlap(skull, np.minimum(below, sides)))
    canvas.paint(cover, _hair_colour(hair, head))


def _developed(canvas: Canvas, grain: float, seed: tuple[int, int]) -> NDArray[np.uint8]:
    noise = np.random.Generator(np.random.PCG64([*seed, 1])).random(canvas.rgb.shape[1:], dtype=np.float32)
    noise -= np.float32(0.5)
    noise *= np.float32(2 * grain)
    canvas.rgb += noise
    levels = np.clip(canvas.rgb, 0, 1, out=canvas.rgb)
    levels *= np.float32(255)
    levels += np.float32(0.5)
    return levels.astype(np.uint8)
