"""ambientkit: train image generators where clean training data does not exist.

The public names; they are imported when they are first used, so that `import ambientkit` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ambientkit.completion import TrainedRun as TrainedRun
    from ambientkit.constant import Constant as Constant
    from ambientkit.engine import Engine as Engine
    from ambientkit.errors import AmbientkitError as AmbientkitError
    from ambientkit.group import shared_count as shared_count
    from ambientkit.group import shared_mean as shared_mean
    from ambientkit.hookspecs import hookimpl as hookimpl
    from ambientkit.interfaces import Context as Context
    from ambientkit.interfaces import Dataset as Dataset
    from ambientkit.interfaces import Discriminator as Discriminator
    from ambientkit.interfaces import Evaluated as Evaluated
    from ambientkit.interfaces import Fidelity as Fidelity
    from ambientkit.interfaces import Generator as Generator
    from ambientkit.interfaces import Measured as Measured
    from ambientkit.interfaces import Measurement as Measurement
    from ambientkit.interfaces import Metric as Metric
    from ambientkit.interfaces import Objective as Objective
    from ambientkit.interfaces import RoundTrip as RoundTrip
    from ambientkit.interfaces import View as View
    from ambientkit.masking import MaskingMeasurement as MaskingMeasurement
    from ambientkit.registry import Complaint as Complaint
    from ambientkit.registry import Component as Component
    from ambientkit.registry import Options as Options
    from ambientkit.registry import Spec as Spec

_HOMES = {
    "AmbientkitError": "errors",
    "Complaint": "registry",
    "Component": "registry",
    "Constant": "constant",
    "Context": "interfaces",
    "Dataset": "interfaces",
    "Discriminator": "interfaces",
    "Engine": "engine",
    "Evaluated": "interfaces",
    "Fidelity": "interfaces",
    "Generator": "interfaces",
    "MaskingMeasurement": "masking",
    "Measured": "interfaces",
    "Measurement": "interfaces",
    "Metric": "interfaces",
    "Objective": "interfaces",
    "Options": "registry",
    "RoundTrip": "interfaces",
    "Spec": "registry",
    "TrainedRun": "completion",
    "View": "interfaces",
    "hookimpl": "hookspecs",
    "shared_count": "group",
    "shared_mean": "group",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - one list, not two


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ambientkit' has no attribute {name!r}")
    return getattr(import_module(f"ambientkit.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
