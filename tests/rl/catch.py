"""Catch (Mnih et al. 2014): a ball falls through a 10 x 10 image, a paddle on the bottom row has to be under it."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

NAME, SIDE = "Catch-v0", 10


class Catch(gymnasium.Env):
    """+1 for a ball that is caught, -1 for one that is not, after nine steps. A paddle that moves at random catches
    about a tenth, a paddle that sees everything: the ball can always be reached, since both move a column a step at
    most and the paddle begins in the middle. Bytes, as of a screen."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    observation_space = spaces.Box(0, 255, (SIDE, SIDE, 1), np.uint8)
    action_space = spaces.Discrete(3)  # left, stay, right

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.row, self.ball, self.paddle = 0, int(self.np_random.integers(SIDE)), SIDE // 2
        return self._screen(), {}

    def _screen(self) -> npt.NDArray[np.uint8]:
        screen = np.zeros((SIDE, SIDE, 1), dtype=np.uint8)
        screen[self.row, self.ball] = 255
        screen[SIDE - 1, self.paddle] = 255
        return screen

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.paddle = int(np.clip(self.paddle + int(action) - 1, 0, SIDE - 1))
        self.row += 1
        over = self.row == SIDE - 1
        reward = (1.0 if self.paddle == self.ball else -1.0) if over else 0.0
        return self._screen(), reward, over, False, {}


def register() -> None:
    """Under a name that a spec can give."""
    if NAME not in gymnasium.registry:
        gymnasium.register(NAME, Catch)


register()
