"""Distributions of a target in its own units: density, distribution function, quantiles, score.

Each row has its own parameters, the outputs of the task (see `nn.densities`).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.special import betaln, gammaln, ndtr, ndtri, stdtr, stdtrit

from pellucid.evidence.intervals import Floats

__all__ = ["ALL", "Density", "pit_error"]

HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


class Density(Protocol):
    """A family. `outputs`: parameters of each row, shape (n, k); `y`: what came, shape (n,)."""

    def nll(self, y: Floats, outputs: Floats) -> Floats:
        """Minus the log-density, shape (n,)."""
        ...

    def cdf(self, y: Floats, outputs: Floats) -> Floats:
        """Probability of at most y, shape (n,): uniform for a calibrated program (Dawid 1984)."""
        ...

    def quantile(self, level: float, outputs: Floats) -> Floats:
        """The value that is exceeded with probability 1 - level, shape (n,)."""
        ...

    def crps(self, y: Floats, outputs: Floats) -> Floats:
        """Integral of (F(x) - 1[x >= y])^2, in units of y, shape (n,)."""
        ...

    def fitted(self, y: Floats) -> Floats:
        """The parameters of largest likelihood of a sample, shape (k,)."""
        ...


class Normal:
    """Mean and standard deviation."""

    def nll(self, y: Floats, outputs: Floats) -> Floats:
        m, s = outputs.T
        return np.asarray(HALF_LOG_2PI + np.log(s) + 0.5 * ((y - m) / s) ** 2)

    def cdf(self, y: Floats, outputs: Floats) -> Floats:
        m, s = outputs.T
        return np.asarray(ndtr((y - m) / s))

    def quantile(self, level: float, outputs: Floats) -> Floats:
        return outputs[:, 0] + outputs[:, 1] * float(ndtri(level))

    def crps(self, y: Floats, outputs: Floats) -> Floats:
        """Gneiting et al. 2005."""
        m, s = outputs.T
        z = (y - m) / s
        return np.asarray(s * (z * (2 * ndtr(z) - 1) + 2 * np.exp(-0.5 * z * z - HALF_LOG_2PI) - 1 / np.sqrt(np.pi)))

    def fitted(self, y: Floats) -> Floats:
        return np.array([y.mean(), max(float(y.std()), 1e-12)])


class LogNormal:
    """Median, and standard deviation of the logarithm."""

    def nll(self, y: Floats, outputs: Floats) -> Floats:
        m, s = outputs.T
        with np.errstate(divide="ignore"):
            return Normal().nll(np.log(y), np.stack([np.log(m), s], axis=1)) + np.log(y)

    def cdf(self, y: Floats, outputs: Floats) -> Floats:
        m, s = outputs.T
        return np.asarray(ndtr(np.log(y / m) / s))

    def quantile(self, level: float, outputs: Floats) -> Floats:
        found: Floats = outputs[:, 0] * np.exp(outputs[:, 1] * float(ndtri(level)))
        return found

    def crps(self, y: Floats, outputs: Floats) -> Floats:
        """Baran & Lerch 2015."""
        m, s = outputs.T
        w = np.log(y / m) / s
        tail = ndtr(w - s) + ndtr(s / np.sqrt(2)) - 1
        return np.asarray(y * (2 * ndtr(w) - 1) - 2 * m * np.exp(0.5 * s * s) * tail)

    def fitted(self, y: Floats) -> Floats:
        logs = np.log(y)
        return np.array([np.exp(logs.mean()), max(float(logs.std()), 1e-12)])


class Student:
    """Location, scale and degrees of freedom, more than one."""

    def nll(self, y: Floats, outputs: Floats) -> Floats:
        m, s, v = outputs.T
        norm = gammaln(v / 2) - gammaln((v + 1) / 2) + 0.5 * np.log(np.pi * v)
        return np.asarray(norm + np.log(s) + (v + 1) / 2 * np.log1p(((y - m) / s) ** 2 / v))

    def cdf(self, y: Floats, outputs: Floats) -> Floats:
        m, s, v = outputs.T
        return np.asarray(stdtr(v, (y - m) / s))

    def quantile(self, level: float, outputs: Floats) -> Floats:
        m, s, v = outputs.T
        return np.asarray(m + s * stdtrit(v, level))

    def crps(self, y: Floats, outputs: Floats) -> Floats:
        """Jordan, Krüger & Lerch 2019."""
        m, s, v = outputs.T
        z = (y - m) / s
        density = np.exp(-self.nll(z, np.stack([0 * m, 1 + 0 * s, v], axis=1)))
        beta = np.exp(betaln(0.5, v - 0.5) - 2 * betaln(0.5, v / 2))
        return np.asarray(
            s * (z * (2 * stdtr(v, z) - 1) + 2 * density * (v + z * z) / (v - 1) - 2 * np.sqrt(v) / (v - 1) * beta)
        )

    def fitted(self, y: Floats) -> Floats:
        from scipy.stats import t

        v, m, s = t.fit(y)
        return np.array([m, max(float(s), 1e-12), min(max(float(v), 1.01), 1e4)])


ALL: dict[str, Density] = {"normal": Normal(), "student": Student(), "lognormal": LogNormal()}


def pit_error(u: Floats, levels: Floats) -> float:
    """Mean distance of the share of `u` at or below each level from that level: 0 for uniform numbers.

    Args:
        u: probability integral transforms, shape (n,).
        levels: within (0, 1), shape (k,).
    """
    shares = np.searchsorted(np.sort(u), levels, side="right") / len(u)
    return float(np.abs(shares - levels).mean())
