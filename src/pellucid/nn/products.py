"""Matrix products of the networks that are computed by hand: numpy's for small ones, oneDNN's for large ones.

OpenBLAS, beneath numpy, picks its kernels by the model of the CPU, and plays safe (AVX2) on one that it does not know;
oneDNN, which comes with torch, asks the CPU what it can do, and adds bias and ReLU in the same pass. From about two
million multiplications on it is up to twice as fast there; below, the call through torch costs more than it saves.
It compiles a kernel for every new shape and keeps it, so it is asked only for rows in whole `STEPS`: batches come in
few sizes, leftovers in many. Which of the two computes depends on the sizes alone: a repeated run gives the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.float32]
STEPS = 32  # rows (and what a product sums over) come in multiples of it
LARGE = 1 << 21  # multiplications from which on oneDNN is faster
OUTPUT = 32  # multiplications that one output's bias and activation are worth
NARROW = 128  # columns below which it is not
FEW = 8  # of a narrow layer: outputs from which on it is faster there too, for READ numbers and more
READ = 1 << 17


def _onednn() -> Any:
    """torch's linear layer of oneDNN (its compiler's), or None in a build without it."""
    if not torch._C._has_mkldnn:
        return None
    found = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return None if found is None else found.default


_LINEAR = _onednn()


def layer(x: Array, weight: Array, bias: Array, activation: str) -> Array:
    """activation(x Wᵀ + b), shape (n, o), in memory of its own.

    Args:
        x, weight, bias: (n, i), (o, i), (o,).
        activation: "relu", "tanh" or "none".
    """
    work = len(x) * len(weight) * (x.shape[1] + OUTPUT)
    if _LINEAR is not None and work >= LARGE and len(weight) >= NARROW // 2 and len(x) % STEPS == 0:
        fused = "relu" if activation == "relu" else "none"  # its tanh is slower than numpy's
        bias = np.ascontiguousarray(bias)  # of a bias, and of nothing else, oneDNN takes the memory as it lies
        found: Array = _LINEAR(*map(torch.from_numpy, (x, weight, bias)), fused, [], "").numpy()
        return np.tanh(found, out=found) if activation == "tanh" else found
    h: Array = x @ weight.T
    h += bias
    if activation == "relu":
        np.maximum(h, 0.0, out=h)
    elif activation == "tanh":
        np.tanh(h, out=h)
    return h


def narrow(x: Array, weight: Array, bias: Array) -> Array:
    """x Wᵀ + b for few outputs, shape (n, o); it may be a transposed view.

    Args:
        x, weight, bias: (n, i), (o, i), (o,).
    """
    if _LINEAR is not None and len(weight) >= FEW and x.size >= READ and len(x) % STEPS == 0:
        bias = np.ascontiguousarray(bias)
        found: Array = _LINEAR(*map(torch.from_numpy, (x, weight, bias)), "none", [], "").numpy()
        return found
    # Transposed, outputs of a narrow head lie side by side: numpy's sums and products over rows are fast there.
    out: Array = weight @ x.T
    out += bias[:, None]
    return out.T


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b, shapes (n, k) and (k, m); views are fine. Written to `out` when given."""
    if a.shape[1] == 1:  # numpy's product of a column and a row is some fifteen times slower than multiplying them
        return np.multiply(a, b, out=out)
    whole = a.shape[0] % STEPS == 0 and a.shape[1] % STEPS == 0
    if _LINEAR is not None and whole and a.size * b.shape[1] >= LARGE and b.shape[1] >= NARROW:
        found: Array = _LINEAR(torch.from_numpy(a), torch.from_numpy(b.T), None, "none", [], "").numpy()
        if out is None:
            return found
        out[...] = found
        return out
    return np.matmul(a, b, out=out)
