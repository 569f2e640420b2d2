"""The fast path of twin critics: forward and backward by hand on numpy, beside `nn.plain`.

Tested equal to autograd to 1e-6 (`tests/nn/test_plain_critic.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from pellucid.nn.critic import TWINS, SoftCritic
from pellucid.nn.products import STEPS, layer, product

Array = npt.NDArray[np.float32]


class PlainCritic:
    """Sees the memory of a `SoftCritic`, or of other weights for it.

    Args:
        critic: with ReLU or tanh, in float32 on the CPU.
        weights: by parameter name; None for the critic's own.
    """

    def __init__(self, critic: SoftCritic, weights: Mapping[str, Tensor] | None = None) -> None:
        self.parameters: list[nn.Parameter] = list(critic.values().values())
        found = critic.values() if weights is None else weights
        self._activation = "relu" if isinstance(critic.activation, nn.ReLU) else "tanh"
        self._layers = [
            (found[f"weight{i}"].detach().numpy(), found[f"bias{i}"].detach().numpy().reshape(TWINS, -1))
            for i in range(len(critic.sizes) - 1)
        ]
        self._inputs: list[list[Array]] = []  # of each critic's layers, as of the last forward
        self._gradients: list[Array] = [np.zeros(p.shape, dtype=np.float32) for p in self.parameters]
        self._ones: Array = np.ones(0, dtype=np.float32)

    def write_to(self, place: Mapping[int, Array]) -> None:
        """Have `backward` write gradients there: arrays by the parameters' `id`."""
        self._gradients = [place[id(p)] for p in self.parameters]

    def forward(self, x: Array) -> Array:
        """Both values, shape (2, n), of joined states and actions (n, w); what the gradients need is kept."""
        self._inputs = []
        q = np.empty((TWINS, len(x)), dtype=np.float32)
        *hidden, (top, top_bias) = self._layers
        for twin in range(TWINS):
            kept = [x]
            for weight, bias in hidden:
                kept.append(layer(kept[-1], weight[twin], bias[twin], self._activation))
            np.matmul(kept[-1], top[twin, 0], out=q[twin])
            q[twin] += top_bias[twin, 0]
            self._inputs.append(kept)
        return q

    def backward(self, gradient: Array) -> list[Array]:
        """Gradients of `parameters`, in their order, from those of both values (2, n). Good until the next."""
        if len(self._ones) != gradient.shape[1]:
            self._ones = np.ones(gradient.shape[1], dtype=np.float32)
        for twin in range(TWINS):
            down = gradient[twin][:, None]
            for i in range(len(self._layers) - 1, -1, -1):
                entering = self._inputs[twin][i]
                product(down.T, entering, out=self._gradients[2 * i][twin])
                np.matmul(self._ones, down, out=self._gradients[2 * i + 1].reshape(TWINS, -1)[twin])
                if i:
                    down = self._through(product(down, self._layers[i][0][twin]), entering)
        return self._gradients

    def slope_of_least(self, q: Array, columns: int) -> Array:
        """The gradient of min(Q_1, Q_2), row by row, with respect to the last columns of the input: (n, columns)."""
        least = q.argmin(0)
        slope = np.empty((q.shape[1], columns), dtype=np.float32)
        for twin in range(TWINS):
            rows = np.flatnonzero(least == twin)  # the other critic passes no gradient in these
            rows = np.resize(rows, -(-len(rows) // STEPS) * STEPS)  # some twice, for a size that products know
            down = np.repeat(self._layers[-1][0][twin], len(rows), axis=0)
            for i in range(len(self._layers) - 1, 0, -1):
                down = self._through(down, self._inputs[twin][i][rows])
                weight = self._layers[i - 1][0][twin]
                down = product(down, weight if i > 1 else weight[:, -columns:])
            slope[rows] = down
        return slope

    def _through(self, down: Array, active: Array) -> Array:
        """The gradient before an activation, from that behind it (overwritten) and the activation's value."""
        return np.multiply(down, active > 0.0 if self._activation == "relu" else 1.0 - active * active, out=down)
