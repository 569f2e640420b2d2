"""GARCH(1,1), fitted on the past and filtered forward with fixed parameters (Bollerslev 1986)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from pellucid.core.errors import require
from pellucid.core.rows import Index
from pellucid.evidence.baselines.context import FLOOR, PriceContext
from pellucid.evidence.intervals import Floats

__all__ = ["Garch", "fit_garch"]

PERCENT = 100.0  # arch's optimiser wants returns of the order of one


@dataclass(frozen=True)
class Garch:
    """r_t = mean + e_t;  variance_t = omega + alpha e_{t-1}^2 + beta variance_{t-1}; in log-return units."""

    mean: float
    omega: float
    alpha: float
    beta: float
    start: float

    def next_variance(self, returns: Floats) -> Floats:
        """Variance of day t+1 as forecast after day t, for every t, shape (T,)."""
        shocks = (returns - self.mean) ** 2
        variance, out = self.start, np.empty(len(returns))
        for t, shock in enumerate(shocks):
            variance = self.omega + self.alpha * float(shock) + self.beta * variance
            out[t] = variance
        return out

    def mean_square(self, next_variance: Floats, horizon: int) -> Floats:
        """Expected mean squared return of the next `horizon` days."""
        total, step = np.zeros_like(next_variance), next_variance
        for _ in range(horizon):
            total = total + step
            step = self.omega + (self.alpha + self.beta) * step
        return total / horizon + self.mean**2


def fit_garch(context: PriceContext) -> tuple[Garch, Floats]:
    """The fit on the training days, and `next_variance` over the whole series up to the last test day."""
    require("arch", extra="finance", purpose="the baseline 'garch'")
    from arch import arch_model  # type: ignore[import-untyped,unused-ignore]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hard fit is still an honest baseline
        model = arch_model(context.past * PERCENT, mean="Constant", vol="GARCH", p=1, q=1, rescale=False)
        fit = model.fit(disp="off", show_warning=False)
    parameters = fit.params
    garch = Garch(
        mean=float(parameters["mu"]) / PERCENT,
        omega=float(parameters["omega"]) / PERCENT**2,
        alpha=float(parameters["alpha[1]"]),
        beta=float(parameters["beta[1]"]),
        start=max(float(context.past.var()), FLOOR),
    )
    return garch, garch.next_variance(context.log_returns[: int(context.test.max()) + 1])


def standardised(context: PriceContext, garch: Garch, variance: Floats) -> Floats:
    """Residuals of the labelled training days, divided by the deviation forecast for them."""
    days: Index = context.labelled
    residual: Floats = (context.log_returns[days + 1] - garch.mean) / np.sqrt(variance[days])
    return residual
