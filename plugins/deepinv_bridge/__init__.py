"""Sensors."""

from __future__ import annotations

from collections.abc import Iterable

from ambientkit import Component, hookimpl

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """The sensors of this folder."""
    return ()
