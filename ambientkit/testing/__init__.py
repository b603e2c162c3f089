"""The contract kit: what a component promises by its declarations, checked.

    from ambientkit.testing import check_measurement

    def test_my_sensor():
        check_measurement(Haze(0.6, 0.05), image_shape=(3, 16, 20))

One function a contract. Each raises ContractError, which lists every promise that does not hold and
what to do; where nothing fails it returns what every check found.
"""

from ambientkit.testing.contract import BrokenPromiseError, Check, Checks, ContractError, Finding

__all__ = ["BrokenPromiseError", "Check", "Checks", "ContractError", "Finding"]
