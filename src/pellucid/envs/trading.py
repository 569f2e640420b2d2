"""StockTrading: hold a position of -1, 0 or +1 of a fixed notional, with fills one day after the decision.

After close t the state is the window of day t and the position p_t, which was filled at close t. The action a_t is
filled at close t+1, so it earns from t+1 to t+2. The step's reward is

    p_t (C_{t+1} / C_t - 1) - cost |a_t - p_t|        and then p_{t+1} = a_t.

The notional is 1 and is restored at every close, without charge; cost is charged on the change of position. A second
set of books (cash, shares) is kept beside the rewards: the sum of rewards is the change of wealth, at every step, to
1e-9. The end of the data truncates; nothing terminates.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from pellucid.core.errors import DataError, EnvironmentFault
from pellucid.core.rows import Rows
from pellucid.data.prices import schema_fields
from pellucid.envs.market import Floats, Ints, Obs, State, Tape, Walk, tape
from pellucid.envs.shells import MarketEnv, MarketVectorEnv

POSITIONS: Floats = np.array([-1.0, 0.0, 1.0])  # of the actions 0, 1, 2
Fill = Literal["close", "open"]
IDENTITY_TOLERANCE = 1e-9  # of the notional
STALE_SHARE = 0.05  # above it, `fill="open"` warns


class StaleOpenWarning(UserWarning):
    """The series' opens repeat the last close: a fill "at the open" is a fill at the price that was observed."""


class _Trading:
    """n accounts on one tape (see `shells.Game`)."""

    def __init__(self, tape: Tape, walk: Walk, cost_bps: float, fill: Fill) -> None:
        if not (np.isfinite(cost_bps) and cost_bps >= 0):
            raise DataError(f"cost_bps {cost_bps} is not a cost.", where="StockTrading", mend="5.0 is usual")
        self.tape, self.walk, self.cost = tape, walk, cost_bps * 1e-4
        self.fields = (*tape.schema, schema_fields(position=True)[-1])
        self.action_space: spaces.Space[Any] = spaces.Discrete(len(POSITIONS))
        held = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space: spaces.Space[Any] = spaces.Dict({**tape.space(), "position": held})
        close, self._fill = tape.close, _fills(tape, fill)
        self._before = self._fill[1:] / close[:-1] - 1.0  # earned by the old position
        self._after = close[1:] / self._fill[1:] - 1.0  # earned by the new one on the day of its fill; 0 at the close
        n = len(walk.day)
        self.position, self.cash, self.shares, self.earned = np.zeros(n), np.ones(n), np.zeros(n), np.zeros(n)

    def begin(self, which: Ints) -> None:
        for values, start in ((self.position, 0.0), (self.cash, 1.0), (self.shares, 0.0), (self.earned, 0.0)):
            values[which] = start

    def look(self) -> Obs:
        return self.tape.look(self.walk.day) | {"position": self.position.astype(np.float32)[:, None]}

    def play(self, actions: npt.NDArray[Any]) -> Floats:
        day = self.walk.day
        target = POSITIONS[_valid(actions, len(day))]
        fee = self.cost * np.abs(target - self.position)
        reward: Floats = self.position * self._before[day] + target * self._after[day] - fee
        self._settle(day + 1, target, fee)
        self.position = target
        self.earned = self.earned + reward
        self._audit()
        return reward

    def draw(self, rng: np.random.Generator, n: int, steps: int) -> tuple[Obs, Floats]:
        """Stretches of the tape: fields but for the position (n, steps, w), and what each day's decision earns.

        A decision of day t is filled on day t+1 and held to day t+2 (`rl.direct` differentiates through it).
        """
        last = len(self._before) - 1  # a decision needs two more days
        if steps > last:
            raise DataError(
                f"stretches of {steps} days do not fit into {last} days.",
                where="StockTrading, algorithm direct",
                mend="set direct.steps lower, or give more days",
            )
        days = rng.integers(0, last - steps + 1, n)[:, None] + np.arange(steps)
        fields = {name: values[days] for name, values in self.tape.fields.items()}
        return fields, self._after[days] + self._before[days + 1]

    def _settle(self, day: Ints, target: Floats, fee: Floats) -> None:
        """The books: buy or sell at the fill, pay the fee; at the close restore the notional."""
        for price in (self._fill[day], self.tape.close[day]):
            wanted = target / price
            self.cash = self.cash - (wanted - self.shares) * price
            self.shares = wanted
        self.cash = self.cash - fee
        self.wealth = self.cash + self.shares * self.tape.close[day]

    def _audit(self) -> None:
        off = float(np.abs(self.wealth - 1.0 - self.earned).max())
        if not off <= IDENTITY_TOLERANCE:
            raise EnvironmentFault(
                f"the rewards do not add up to the change of wealth (off by {off:.3g}).",
                where="StockTrading step",
                mend="check the prices that the environment was given",
            )

    def info(self) -> dict[str, npt.NDArray[Any]]:
        wealth = self.cash + self.shares * self.tape.close[self.walk.day]
        return {"row": self.walk.day.copy(), "wealth": wealth}

    def get_state(self) -> State:
        return {name: getattr(self, name).copy() for name in ("position", "cash", "shares", "earned")}

    def set_state(self, state: State) -> None:
        for name in ("position", "cash", "shares", "earned"):
            setattr(self, name, np.array(state[name], dtype=np.float64))


def _valid(actions: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    actions = np.asarray(actions)
    if actions.shape != (n,) or actions.dtype.kind not in "iu" or actions.min() < 0 or actions.max() > 2:
        raise DataError(
            f"actions {actions!r} are not {n} integers of 0 (short), 1 (out), 2 (long).",
            where="StockTrading step",
            mend="sample from env.action_space to see valid ones",
        )
    return actions


def _fills(tape: Tape, fill: Fill) -> Floats:
    """The price at which a position is filled on each day."""
    if fill == "close":
        return tape.close
    if fill != "open":
        raise DataError(f"fill '{fill}' is not known.", where="StockTrading", mend="use 'close' or 'open'")
    if tape.open is None:
        raise DataError("rows.extra lacks 'open'.", where="StockTrading(fill='open')", mend="use fill='close'")
    stale = float(np.mean(tape.open[1:] == tape.close[:-1]))
    if stale > STALE_SHARE:
        warnings.warn(
            f"on {stale:.0%} of the days from {tape.keys[0]} to {tape.keys[-1]} the open repeats the last close: "
            "a fill at the open trades at the price that the decision has seen. Use fill='close'.",
            StaleOpenWarning,
            stacklevel=4,
        )
    return np.asarray(tape.open, dtype=np.float64)


def _game(
    n: int,
    rows: Rows | None,
    source: str,
    window: int,
    episode_days: int | None,
    random_start: bool,
    cost_bps: float,
    fill: Fill,
) -> _Trading:
    read = tape(rows, source, window)
    return _Trading(read, Walk(len(read), n, episode_days, random_start), cost_bps, fill)


class StockTradingEnv(MarketEnv):
    """`pellucid/StockTrading-v0`.

    Args:
        rows: consecutive decision days from `data.prices.windows`; None: those of `source`.
        source: what `data.prices.load_prices` takes.
        window: lags, when the rows are made from `source`.
        episode_days: steps of an episode; None: to the end of the rows.
        random_start: begin anywhere (for training) instead of on the first day.
        cost_bps: cost of changing the position by one notional, in basis points.
        fill: "close" of the next day, or its "open" (warns when opens repeat the last close).
        render_mode: only None.
    """

    def __init__(
        self,
        rows: Rows | None = None,
        source: str = "planted",
        window: int = 20,
        episode_days: int | None = None,
        random_start: bool = False,
        cost_bps: float = 5.0,
        fill: Fill = "close",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(_game(1, rows, source, window, episode_days, random_start, cost_bps, fill), render_mode)


class StockTradingVectorEnv(MarketVectorEnv):
    """`num_envs` of `StockTradingEnv`, batched; the arguments are the same."""

    def __init__(
        self,
        num_envs: int = 1,
        rows: Rows | None = None,
        source: str = "planted",
        window: int = 20,
        episode_days: int | None = None,
        random_start: bool = False,
        cost_bps: float = 5.0,
        fill: Fill = "close",
        render_mode: str | None = None,
    ) -> None:
        game = _game(num_envs, rows, source, window, episode_days, random_start, cost_bps, fill)
        super().__init__(game, num_envs, render_mode)
