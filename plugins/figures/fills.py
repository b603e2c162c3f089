"""What fills are like among themselves: at the ends of the range, and different from one to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ambientkit import Evaluated, Metric
from ambientkit.errors import PluginError

from .against_truth import known_mean
from .holes import hidden_values, in_unit_range, mean_over

END = 0.99  # of a range that ends at 1: within half a grey level and a bit of 255


class Saturation(Metric):
    """Share of made values in holes that lie at an end of the range (beyond 0.99 of it)."""

    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """{"saturation": (n,)}, NaN where nothing is hidden."""
        ends = (evaluated.made.abs() >= END).float()
        return {"saturation": mean_over(ends, hidden_values(evaluated))}

    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """{"saturation"}, empty where no picture has a hole."""
        mean = known_mean(values["saturation"])
        return {} if math.isnan(mean) else {"saturation": mean}

    def score(self, summary: Mapping[str, float]) -> float:
        """Minus the share; -infinity where there is no figure."""
        return -summary.get("saturation", math.inf)


class Diversity(Metric):
    """How much several fills of one picture differ inside the hole: their standard deviation, in [0, 1].

    Where the truth is known, `diversity_of_error` is it over the error of single fills, both as root mean
    squares over all hidden values: fills with the law of the truth have .71 (two draws of one law lie
    1.41 deviations apart), fills that ignore their latent 0.
    """

    needs_fills = True

    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """{"variance": (n,), "squared_error": (n,)}; the latter NaN without a truth."""
        if evaluated.fills is None or len(evaluated.fills) < 2:
            raise PluginError("diversity: it compares fills of one picture, and there is one at most")
        fills, hidden = in_unit_range(evaluated.fills), hidden_values(evaluated)
        variance = mean_over(fills.var(0), hidden)
        error = torch.full_like(variance, math.nan)
        if evaluated.truth is not None:
            squares = (fills - in_unit_range(evaluated.truth)).square().mean(0)
            error = mean_over(squares, hidden)
        return {"variance": variance, "squared_error": error}

    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """{"diversity", "diversity_of_error"}, those that have a value."""
        variance, error = known_mean(values["variance"]), known_mean(values["squared_error"])
        figures = {"diversity": math.sqrt(variance) if variance >= 0 else math.nan}
        if error > 0:
            figures["diversity_of_error"] = math.sqrt(variance / error)
        return {name: value for name, value in figures.items() if not math.isnan(value)}
