"""A small world whose action is several choices at once, and whose optimum is known."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

NAME = "Dials-v0"
LENGTH = 20


class Dials(gymnasium.Env):
    """Three dials are to be set: the first to the shown number, the second to its double modulo 4, the third to whether
    it is even. A dial that is right earns 1, so the optimum is 3 a step; what never looks earns at most 1/3 + 2/3 + 2/3
    on average (the double modulo 4 of 0, 1, 2 is 0, 2, 0)."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, binary: bool = False) -> None:
        self.observation_space = spaces.Discrete(3)
        self.binary = binary
        self.action_space = spaces.MultiBinary(2) if binary else spaces.MultiDiscrete([3, 4, 2])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self._show(), {}

    def _show(self) -> int:
        self.shown = int(self.np_random.integers(3))
        return self.shown

    def right(self) -> list[int]:
        """The best action now."""
        if self.binary:
            return [self.shown % 2, self.shown // 2]
        return [self.shown, 2 * self.shown % 4, (self.shown + 1) % 2]

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(np.asarray(action, dtype=self.action_space.dtype)), action
        reward = float(np.equal(action, self.right()).sum())
        self.t += 1
        return self._show(), reward, self.t == LENGTH, False, {}


def register() -> None:
    """Both worlds, under names that a spec can give."""
    for name, binary in ((NAME, False), ("Switches-v0", True)):
        if name not in gymnasium.registry:
            gymnasium.register(name, Dials, kwargs={"binary": binary})


register()
