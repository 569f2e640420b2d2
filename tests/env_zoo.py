"""Environments that behave in every way that an environment may, and in some in which it may not."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Walk(gymnasium.Env[Any, Any]):
    """A walk on a line; step `at` of every episode goes wrong in the way of `how`.

    Args:
        how: "" for nothing; see `trip`.
        at: step of the episode, from 1.
        only: first observation x0 above which it goes wrong; with seeds, that tells one environment from another.
    """

    observation_space: Any = spaces.Box(-100.0, 100.0, (2,), np.float32)
    action_space: Any = spaces.Discrete(2)

    def __init__(self, how: str = "", at: int = 3, length: int = 20) -> None:
        self.how, self.at, self.length = how, at, length

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.t = float(self.np_random.uniform(-1, 1)), 0
        if self.how == "raises in reset":
            raise RuntimeError("no room\nsecond line")
        return self.look(), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        self.x += 0.1 if action else -0.1
        out = [self.look(), -abs(self.x), False, self.t >= self.length, {}]
        return tuple(self.trip(out) if self.t == self.at else out)

    def look(self) -> Any:
        return np.array([self.x, self.t], np.float32)

    def trip(self, out: list[Any]) -> list[Any]:
        """One step that goes wrong."""
        if self.how == "raises":
            raise RuntimeError("the simulator lost its licence\nsecond line")
        if self.how == "exits":
            os._exit(3)
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "hangs":
            time.sleep(60.0)
        if self.how == "hangs and catches":
            try:
                time.sleep(60.0)
            except Exception:
                time.sleep(60.0)
        if self.how == "loops":
            while True:
                self.x += 1.0
        changes = {
            "NaN": (0, np.array([np.nan, 0.0], np.float32)),
            "NaN reward": (1, float("nan")),
            "no reward": (1, None),
            "longer": (0, np.zeros(3, np.float32)),
            "whole numbers": (0, np.zeros(2, np.int64)),
            "text": (0, np.array(["a", "b"])),
            "part": (0, {"x": 1.0}),
        }
        if self.how in changes:
            place, value = changes[self.how]
            out[place] = value
        return out[:4] if self.how == "four values" else out


class Rich(Walk):
    """Every kind of observation at once."""

    observation_space = spaces.Dict(
        {
            "eye": spaces.Box(0, 255, (8, 9, 3), np.uint8),
            "body": spaces.Tuple([spaces.Box(-9, 99, (2,), np.float64), spaces.Discrete(3, start=1)]),
            "bits": spaces.MultiBinary(2),
            "keys": spaces.MultiDiscrete([2, 4]),
        }
    )

    def look(self) -> Any:
        eye = np.zeros((8, 9, 3), np.uint8)
        eye[self.t % 8, 2, 1] = 255
        body = (np.array([self.x, self.t]), 1 + self.t % 3)
        bits, keys = np.array([self.t % 2, 1], np.int8), np.array([self.t % 2, self.t % 4])
        return {"eye": eye, "body": body, "bits": bits, "keys": keys}
