"""deepinv's physics operators and noise models as measurements `deepinv/...`; needs `ambientkit[deepinv]`.

They are listed whether deepinv is installed or not; torch and deepinv are imported when a sensor is
built, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl
from ambientkit.errors import PluginError

from .catalogue import KINDS, name_of
from .common_options import DeepinvOptions

if TYPE_CHECKING:
    from ambientkit import Measurement

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """deepinv's operators, by name."""
    return (Component(kind, options, _build) for kind, options in KINDS.items())


def _build(options: DeepinvOptions, _context: Context) -> Measurement:
    remedy = 'run `pip install "ambientkit[deepinv]"`'
    if find_spec("deepinv") is None:
        raise PluginError(f"{name_of(options)} needs the package deepinv, which is not installed; {remedy}")
    try:
        from .sensor import sensor_of

        return sensor_of(options)
    except ImportError as error:  # an older deepinv, or one of its own dependencies is missing
        raise PluginError(
            f"{name_of(options)} needs deepinv 0.5, which cannot be imported: {error}; {remedy}"
        ) from error
