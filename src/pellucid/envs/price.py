"""StockPrice: forecast the next return; the founding article's example.

State: the last L log-returns, ranges and log-volumes, scaled by past-only statistics. Action: a forecast of the next
log-return in percent. Reward: minus the squared error. Discount: 0.95, in the metadata. Prices do not answer to
actions, so the discount does not change the best policy (the conditional mean, day by day); it only sets the size of
the value: for homoscedastic noise V* = -sigma^2 / (1 - 0.95) = -20 sigma^2, in percent squared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.envs.market import Floats, Ints, Obs, State, Tape, Walk, tape
from pellucid.envs.shells import MarketEnv, MarketVectorEnv


class _Forecasting:
    """n forecasters on one tape (see `shells.Game`)."""

    def __init__(self, tape: Tape, walk: Walk) -> None:
        self.tape, self.walk, self.fields = tape, walk, tape.schema
        self.observation_space: spaces.Space[Any] = spaces.Dict(tape.space())
        # Gymnasium recommends [-1, 1]; a forecast beyond one percent is taken as it is.
        self.action_space: spaces.Space[Any] = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self._percent = 100.0 * np.log(tape.close[1:] / tape.close[:-1])

    def begin(self, which: Ints) -> None:
        """Nothing is held from one day to the next."""

    def look(self) -> Obs:
        return self.tape.look(self.walk.day)

    def play(self, actions: npt.NDArray[Any]) -> Floats:
        forecast = np.asarray(actions, dtype=np.float64).reshape(len(self.walk.day), 1)[:, 0]
        if not np.isfinite(forecast).all():
            raise DataError("a forecast is NaN or infinite.", where="StockPrice step", mend="look at the policy")
        error: Floats = self._percent[self.walk.day] - forecast
        return -(error * error)

    def info(self) -> dict[str, npt.NDArray[Any]]:
        return {"row": self.walk.day.copy()}

    def get_state(self) -> State:
        return {}

    def set_state(self, state: State) -> None:
        """Nothing beyond the walk."""


def _game(
    n: int, rows: Rows | None, source: str, window: int, episode_days: int | None, random_start: bool
) -> _Forecasting:
    read = tape(rows, source, window)
    return _Forecasting(read, Walk(len(read), n, episode_days, random_start))


class StockPriceEnv(MarketEnv):
    """`pellucid/StockPrice-v0`.

    Args:
        rows: consecutive decision days from `data.prices.windows`; None: those of `source`.
        source: what `data.prices.load_prices` takes.
        window: lags, when the rows are made from `source`.
        episode_days: steps of an episode; None: to the end of the rows.
        random_start: begin anywhere (for training) instead of on the first day.
        render_mode: only None.
    """

    def __init__(
        self,
        rows: Rows | None = None,
        source: str = "planted",
        window: int = 20,
        episode_days: int | None = None,
        random_start: bool = False,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(_game(1, rows, source, window, episode_days, random_start), render_mode)


class StockPriceVectorEnv(MarketVectorEnv):
    """`num_envs` of `StockPriceEnv`, batched; the arguments are the same."""

    def __init__(
        self,
        num_envs: int = 1,
        rows: Rows | None = None,
        source: str = "planted",
        window: int = 20,
        episode_days: int | None = None,
        random_start: bool = False,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(_game(num_envs, rows, source, window, episode_days, random_start), num_envs, render_mode)
