"""UPGrad: each task's gradient is freed of its conflicts with the others, then they are averaged.

Jacobian descent, Quinton & Rey 2024 (arXiv 2406.16232). The dual cone of the rows of J holds the directions that
increase no task's loss when followed downhill. Row i is projected onto it; the result is the mean of the projections.

Differs from the paper's library (TorchJD): the problem is solved for rows of length one. The cone does not know the
rows' lengths, so this changes nothing but rounding, and the result stays linear in them without a regulariser.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Matrix = npt.NDArray[np.float64]
JITTER = 1e-12  # added to a diagonal of ones: keeps the Cholesky factor of dependent rows real
HARD = 1e-3  # smallest eigenvalue of the cosines below which the Gramian is formed in double precision


class UPGrad:
    """A `Combine`: J (m tasks, n parameters) -> g (n,), the mean of the rows projected onto their dual cone.

    J g >= 0: no task's loss rises to first order. Without conflict it is the mean of the rows, exactly.
    """

    def __call__(self, jacobian: Tensor) -> Tensor:
        """Args: jacobian: one row per task, shape (m, n). Returns: g, shape (n,), in the dtype of J."""
        weights = projection_weights(gramian(jacobian))
        return torch.from_numpy(weights).to(jacobian) @ jacobian


def gramian(jacobian: Tensor) -> Matrix:
    """J J', shape (m, m): in the rows' own precision where that is enough, else in double, at three times the cost.

    Enough means that no combination of the unit rows is nearly zero, so that rounding is not amplified.
    """
    rows = jacobian.detach()
    if rows.element_size() < 4:
        rows = rows.float()
    gram = _product(rows)
    if rows.dtype == torch.float64 or (np.isfinite(gram).all() and _smallest(gram) > HARD):
        return gram
    return _product(rows.double())


def _product(rows: Tensor) -> Matrix:
    product: Matrix = (rows @ rows.t()).cpu().double().numpy()
    return product


def _smallest(gram: Matrix) -> float:
    """Smallest eigenvalue of the rows' cosines; rows of zeros left out."""
    lengths = np.sqrt(np.diag(gram))
    live = lengths > 0
    cosines = gram[np.ix_(live, live)] / np.outer(lengths[live], lengths[live])
    return float(np.linalg.eigvalsh(cosines)[0]) if live.any() else 1.0


def projection_weights(gram: Matrix) -> Matrix:
    """w (m,) such that w J is UPGrad's direction, from the Gramian J J' (m, m).

    Rows of zeros take no part, and still count in the mean.
    """
    m = len(gram)
    lengths = np.sqrt(np.diag(gram))
    live = np.flatnonzero(lengths > 0)
    weights = np.full(m, 1.0 / m)
    if not np.isfinite(gram).all() or len(live) == 0:
        return weights  # the loop names what is not finite
    scale = lengths[live]
    cosines = gram[np.ix_(live, live)] / np.outer(scale, scale)
    if (cosines >= 0).all():
        return weights
    # Row i in units of its length is e_i; its projection is (e_i + d_i) J with d_i >= 0.
    added = _pair(cosines) if len(live) == 2 else _solve(cosines)
    weights[live] = (scale @ (np.eye(len(live)) + added)) / scale / m
    return weights


def _pair(cosines: Matrix) -> Matrix:
    """Two conflicting rows: each loses its component along the other (here this is PCGrad, Yu et al. 2020)."""
    return -cosines * (1.0 - np.eye(2))


def _solve(cosines: Matrix) -> Matrix:
    """Row i: the d >= 0 that minimises |(e_i + d) J|, by non-negative least squares on the Cholesky factor.

    |(e_i + d) J|^2 = |L'(e_i + d)|^2 with L L' = J J'. A row without conflict stays as it is.
    """
    from scipy.optimize import nnls  # heavy, and needed by three tasks or more

    m = len(cosines)
    factor = np.linalg.cholesky(cosines + JITTER * np.eye(m)).T
    added = np.zeros((m, m))
    for i in np.flatnonzero((cosines < 0).any(axis=1)):
        added[i] = nnls(factor, -factor[:, i])[0]
    return added
