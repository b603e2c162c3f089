"""The contract of sensors: what `ambientkit.interfaces.Measurement` promises, checked.

    check_measurement(Haze(0.6, 0.05), image_shape=(3, 16, 20))

Each check applies by declaration: what a sensor does not promise is skipped, and a false promise is a
failure that says what was seen and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping

from ambientkit.interfaces import Measurement, Shape
from ambientkit.testing.contract import Checks, Finding
from ambientkit.testing.measurement_case import MeasurementCase
from ambientkit.testing.measurement_devices import DEVICE_CHECKS
from ambientkit.testing.measurement_draws import DECLARATION_CHECKS, DRAW_CHECKS
from ambientkit.testing.measurement_gradients import GRADIENT_CHECKS
from ambientkit.testing.measurement_laws import LAW_CHECKS
from ambientkit.testing.measurement_physics import MEASURE_CHECKS, OBSERVED_CHECKS
from ambientkit.testing.measurement_use import KNOWN_CHECKS, USE_CHECKS

MEASUREMENT_CHECKS: Checks[MeasurementCase] = Checks(
    [
        *DECLARATION_CHECKS,
        *DRAW_CHECKS,
        *MEASURE_CHECKS,
        *OBSERVED_CHECKS,
        *GRADIENT_CHECKS,
        *KNOWN_CHECKS,
        *USE_CHECKS,
        *DEVICE_CHECKS,
        *LAW_CHECKS,
    ]
)
"""Every check of a sensor, in the order in which an author meets them."""


def check_measurement(
    sensor: Measurement,
    image_shape: Shape = (3, 16, 20),
    *,
    name: str | None = None,
    facts: frozenset[str] | None = None,
    waived: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Check all that `sensor` promises, on pictures of `image_shape` (C, H, W), a size that it takes.

    `name` stands in the message (default: the class's). `facts` are those of the component's options,
    to be compared with the sensor. `waived` maps a check's name to the reason why its failure is
    accepted; a check that is waived and passes fails, so that waivers do not outlive their reason.

    Returns what every check found, skipped ones with their reason. Raises ContractError, which lists
    every broken promise and what to do. The code of the sensor is run, some thousand draws of it.
    """
    case = MeasurementCase(sensor, tuple(image_shape), facts=facts)
    return MEASUREMENT_CHECKS.require(name or type(sensor).__name__, case, waived=waived)
