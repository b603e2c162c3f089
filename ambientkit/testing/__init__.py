"""The contract kit: what a component promises by its declarations, checked.

    from ambientkit.testing import check_measurement

    def test_my_sensor():
        check_measurement(Haze(0.6, 0.05), image_shape=(3, 16, 20))

One function a contract. Each raises ContractError, which lists every promise that does not hold and
what to do; where nothing fails it returns what every check found.
"""

from ambientkit.testing.callbacks import CALLBACK_CHECKS, CallbackCase, check_callback
from ambientkit.testing.components import COMPONENT_CHECKS, ComponentCase, check_component, fitting_context
from ambientkit.testing.contract import (
    BrokenPromiseError,
    Check,
    Checks,
    ContractError,
    Finding,
    parametrize_with_checks,
)
from ambientkit.testing.corners import option_corners
from ambientkit.testing.datasets import DATASET_CHECKS, DatasetCase, check_dataset
from ambientkit.testing.discriminators import DISCRIMINATOR_CHECKS, DiscriminatorCase, check_discriminator
from ambientkit.testing.fidelities import FIDELITY_CHECKS, FidelityCase, check_fidelity
from ambientkit.testing.generators import GENERATOR_CHECKS, GeneratorCase, check_generator
from ambientkit.testing.measurement import MEASUREMENT_CHECKS, check_measurement
from ambientkit.testing.measurement_case import MeasurementCase
from ambientkit.testing.metrics import METRIC_CHECKS, MetricCase, check_metric
from ambientkit.testing.objectives import OBJECTIVE_CHECKS, ObjectiveCase, check_objective

__all__ = [
    "CALLBACK_CHECKS",
    "COMPONENT_CHECKS",
    "DATASET_CHECKS",
    "DISCRIMINATOR_CHECKS",
    "FIDELITY_CHECKS",
    "GENERATOR_CHECKS",
    "MEASUREMENT_CHECKS",
    "METRIC_CHECKS",
    "OBJECTIVE_CHECKS",
    "BrokenPromiseError",
    "CallbackCase",
    "Check",
    "Checks",
    "ComponentCase",
    "ContractError",
    "DatasetCase",
    "DiscriminatorCase",
    "FidelityCase",
    "Finding",
    "GeneratorCase",
    "MeasurementCase",
    "MetricCase",
    "ObjectiveCase",
    "check_callback",
    "check_component",
    "check_dataset",
    "check_discriminator",
    "check_fidelity",
    "check_generator",
    "check_measurement",
    "check_metric",
    "check_objective",
    "fitting_context",
    "option_corners",
    "parametrize_with_checks",
]
