"""Small worlds with a known optimum: `Dials-v0` and `Switches-v0` (several choices at once), `Catch-v0` (an image)."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

LENGTH = 20  # steps of Dials and Switches
SIDE = 10  # pixels of Catch


class Dials(gymnasium.Env):
    """Three dials are to be set: the first to the shown number, the second to its double modulo 4, the third to whether
    it is even. A dial that is right earns 1, so the optimum is 3 a step; what never looks earns at most 1/3 + 2/3 + 2/3
    on average (the double modulo 4 of 0, 1, 2 is 0, 2, 0)."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    observation_space = spaces.Discrete(3)
    action_space: spaces.Space[Any] = spaces.MultiDiscrete([3, 4, 2])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self._show(), {}

    def _show(self) -> int:
        self.shown = int(self.np_random.integers(3))
        return self.shown

    def right(self) -> list[int]:
        """The best action now."""
        return [self.shown, 2 * self.shown % 4, (self.shown + 1) % 2]

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(np.asarray(action, dtype=self.action_space.dtype)), action
        reward = float(np.equal(action, self.right()).sum())
        self.t += 1
        return self._show(), reward, self.t == LENGTH, False, {}


class Switches(Dials):
    """Two switches that are to show the number in binary; what never looks earns at most 2/3 + 2/3 a step."""

    action_space = spaces.MultiBinary(2)

    def right(self) -> list[int]:
        """The best action now."""
        return [self.shown % 2, self.shown // 2]


class Catch(gymnasium.Env):
    """Catch (Mnih et al. 2014): a ball falls through an image, a paddle on the bottom row has to be under it.

    +1 for a ball that is caught, -1 for one that is not, after nine steps. A paddle that moves at random catches
    about a sixth, a paddle that sees everything: the ball can always be reached, since both move a column a step at
    most and the paddle begins in the middle. Bytes, as of a screen.
    """

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


WORLDS: dict[str, Any] = {"Dials-v0": Dials, "Switches-v0": Switches, "Catch-v0": Catch}


def register() -> None:
    """Under names that a spec can give."""
    for name, world in WORLDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, world)


register()
