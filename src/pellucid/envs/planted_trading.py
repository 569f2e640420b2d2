"""PlantedTrading: a market whose structure is known, so that what a policy earns can be held against the optimum.

At signal x the player chooses a position p, |p| <= 1, and earns the next return: reward = p r' - cost |p - held|, and
then holds p. Risk does not count, so the best policy looks at the *expected* next return alone; with proportional
costs it holds inside a band (`rl.planted_optimum` computes it exactly). Nothing terminates; an episode is cut off.

    kind          what is observed as `x`          the next return r'
    ar1           x' = phi x + s sqrt(1-phi^2) eta     x + sigma eps
    garch         the same                             x + e, GARCH(1, 1) of variance sigma^2: clusters, no more gain
    jumps         the same                             x + sigma eps + rare jumps of mean 0
    regimes       +s or -s, changing with              x + sigma eps
                  probability (1-phi)/2
    momentum      the last return                      phi x + s sqrt(1-phi^2) eta: an AR(1) of its own
    random_walk   as ar1, but a decoy                  sqrt(s^2 + sigma^2) eps: nothing to be found
    future_leak   the same decoy, and `leak` = r'      the same: who sees the leak is clairvoyant

With `decoys`, further fields move like the signal, each by itself, and tell nothing: explanations must not name them.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from pellucid.core.errors import DataError, SpecError, nearest
from pellucid.core.schema import Field
from pellucid.envs.market import Floats, Ints, Obs, State
from pellucid.envs.shells import BATCH_METADATA, METADATA, MarketEnv, MarketVectorEnv

Kind = Literal["ar1", "garch", "jumps", "regimes", "momentum", "random_walk", "future_leak"]
Actions = Literal["discrete", "box"]
Earns = Literal["return", "signal"]

POSITIONS: Floats = np.array([-1.0, 0.0, 1.0])  # of the actions 0, 1, 2
GARCH = (0.1, 0.85)  # of the last squared shock, of the last variance; the constant makes the variance sigma^2
JUMP_RATE, JUMP_SIZE = 0.01, 5.0  # per step; standard deviation in units of the market's scale
UNDISCOUNTED: dict[str, Any] = {**METADATA, "discount": 1.0}
BATCH_UNDISCOUNTED: dict[str, Any] = {**BATCH_METADATA, "discount": 1.0}
MOST_DECOYS = 1000
FAR = np.float32(1e6)  # bound of observed values: beyond anything that is drawn


class Market(NamedTuple):
    """What is planted.

    Args:
        kind: see the module.
        phi, s: autocorrelation and standard deviation of the signal.
        sigma: standard deviation of the noise of returns.
        decoys: how many.
    """

    kind: Kind = "ar1"
    phi: float = 0.95
    s: float = 1.0
    sigma: float = 0.0
    decoys: int = 0


class Path(NamedTuple):
    """Signals and returns, (n, steps) each: `signal[:, t]` is seen before `following[:, t]` is earned.

    Args:
        expected: mean of `following` given all that is observed beside `signal`.
    """

    signal: Floats
    following: Floats
    expected: Floats


def simulate(market: Market, rngs: list[np.random.Generator], steps: int) -> Path:
    """One path for each generator; path i depends on generator i alone.

    Args:
        market: what is planted.
        rngs: n generators, each moved on.
        steps: returns on each path.
    """
    kind, phi, s, sigma, _ = market
    noise = np.stack([rng.standard_normal((2, steps + 1)) for rng in rngs])
    eta, eps = noise[:, 0], noise[:, 1, 1:]
    if kind == "regimes":
        # A change where a normal number is large; the first state by its sign.
        change = 1.0 - 2.0 * (np.abs(eta[:, 1:steps]) > _two_sided(0.5 * (1.0 - phi)))
        sign = np.cumprod(np.concatenate([np.where(eta[:, :1] < 0, -1.0, 1.0), change], axis=1), axis=1)
        signal = s * sign
        return Path(signal, signal + sigma * eps, signal)
    chain = s * _ar1(eta, phi)
    signal = chain[:, :-1]
    if kind == "momentum":
        return Path(signal, chain[:, 1:], phi * signal)
    if kind in ("random_walk", "future_leak"):
        following = np.hypot(s, sigma) * eps
        return Path(signal, following, following if kind == "future_leak" else np.zeros_like(signal))
    if kind == "garch":
        return Path(signal, signal + _garch(eps, sigma), signal)
    shock = sigma * eps
    if kind == "jumps":
        jump = np.stack([(rng.random(steps) < JUMP_RATE) * rng.standard_normal(steps) for rng in rngs])
        shock = shock + JUMP_SIZE * np.hypot(s, sigma) * jump
    return Path(signal, signal + shock, signal)


def simulate_decoys(market: Market, rngs: list[np.random.Generator], steps: int) -> Floats:
    """What moves like the signal and is unrelated to everything, shape (n, decoys, steps); drawn after the path."""
    noise = np.stack([rng.standard_normal((market.decoys, steps)) for rng in rngs])
    return market.s * _ar1(noise.reshape(-1, steps), market.phi).reshape(noise.shape)


def _ar1(noise: Floats, phi: float) -> Floats:
    """Stationary, of variance 1, shape as `noise` (n, steps)."""
    out = np.empty_like(noise)
    out[:, 0] = noise[:, 0]
    scaled = np.sqrt(1.0 - phi * phi) * noise
    for t in range(1, noise.shape[1]):
        out[:, t] = phi * out[:, t - 1] + scaled[:, t]
    return out


def _garch(eps: Floats, sigma: float) -> Floats:
    alpha, beta = GARCH
    constant = (1.0 - alpha - beta) * sigma**2
    variance, out = np.full(len(eps), sigma**2), np.empty_like(eps)
    for t in range(eps.shape[1]):
        out[:, t] = np.sqrt(variance) * eps[:, t]
        variance = constant + alpha * out[:, t] ** 2 + beta * variance
    return out


def _two_sided(share: float) -> float:
    """z with P(|N(0, 1)| > z) = share."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(1.0 - 0.5 * share) if share > 0.0 else np.inf


class _Ahead:
    """The paths of n players, each drawn at the beginning of its episode."""

    def __init__(self, n: int, market: Market, steps: int) -> None:
        self.market, self.steps, self._rows = market, steps, np.arange(n)
        self.day: Ints = np.zeros(n, dtype=np.int64)
        self.path = Path(*(np.zeros((n, steps + 1)) for _ in Path._fields))
        self.decoys: Floats = np.zeros((n, market.decoys, steps + 1))

    def begin(self, which: Ints, rngs: list[np.random.Generator]) -> None:
        mine = [rngs[i] for i in which.tolist()]
        for values, new in zip(self.path, simulate(self.market, mine, self.steps + 1), strict=True):
            values[which] = new
        if self.market.decoys:
            self.decoys[which] = simulate_decoys(self.market, mine, self.steps + 1)
        self.day[which] = 0

    def advance(self) -> npt.NDArray[np.bool_]:
        self.day = self.day + 1
        done: npt.NDArray[np.bool_] = self.day >= self.steps
        return done

    def now(self) -> Path:
        """The current column, (n,) each."""
        return Path(*(values[self._rows, self.day] for values in self.path))

    def distraction(self) -> Floats:
        """The current decoys, (n, decoys)."""
        now: Floats = self.decoys[self._rows, :, self.day]
        return now

    def get_state(self) -> State:
        state = {"day": self.day.copy(), **{name: getattr(self.path, name).copy() for name in Path._fields}}
        return {**state, "decoys": self.decoys.copy()} if self.market.decoys else state

    def set_state(self, state: State) -> None:
        self.day = np.array(state["day"], dtype=np.int64)
        self.path = Path(*(np.array(state[name], dtype=np.float64) for name in Path._fields))
        if self.market.decoys:
            self.decoys = np.array(state["decoys"], dtype=np.float64)


class _Planted:
    """n players, each on a path of its own (see `shells.Game`)."""

    def __init__(self, walk: _Ahead, cost: float, actions: Actions, earns: Earns) -> None:
        self.walk, self.cost, self.discrete, self.earns = walk, cost, actions == "discrete", earns
        self.leaks = walk.market.kind == "future_leak"
        leak = (Field("leak", "numeric", 1, "return", "the next return"),) if self.leaks else ()
        signal = Field("x", "numeric", 1, "return", "the signal")
        named = [f"decoy_{i}" for i in range(walk.market.decoys)]
        decoys = tuple(Field(name, "numeric", 1, "return", "a decoy: it tells nothing") for name in named)
        held = Field("position", "numeric", 1, "notional", "held, before the decision")
        self.fields: tuple[Field, ...] = (signal, *leak, *decoys, held)
        box = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space: spaces.Space[Any] = spaces.Discrete(len(POSITIONS)) if self.discrete else box
        wide = spaces.Box(-FAR, FAR, (1,), np.float32)
        observed = {field.name: wide for field in self.fields[:-1]}
        self.observation_space: spaces.Space[Any] = spaces.Dict({**observed, "position": box})
        self.position: Floats = np.zeros(len(walk.day))

    def begin(self, which: Ints) -> None:
        self.position[which] = 0.0

    def look(self) -> Obs:
        now = self.walk.now()
        seen = {"x": now.signal} | ({"leak": now.following} if self.leaks else {})
        if self.walk.market.decoys:
            seen |= self._named(np.moveaxis(self.walk.distraction(), 1, 0))
        seen |= {"position": self.position}
        return {name: values.astype(np.float32)[:, None] for name, values in seen.items()}

    def _named(self, decoys: Floats) -> dict[str, Floats]:
        return {f"decoy_{i}": values for i, values in enumerate(decoys)}

    def play(self, actions: npt.NDArray[Any]) -> Floats:
        target = self._target(actions)
        now = self.walk.now()
        earned = now.following if self.earns == "return" else now.expected
        reward: Floats = target * earned - self.cost * np.abs(target - self.position)
        self.position = target
        return reward

    def _target(self, actions: npt.NDArray[Any]) -> Floats:
        given, n = np.asarray(actions), len(self.position)
        if self.discrete:
            if given.shape != (n,) or given.dtype.kind not in "iu" or given.min() < 0 or given.max() > 2:
                raise _invalid(actions, f"{n} integers of 0 (short), 1 (out), 2 (long)")
            target: Floats = POSITIONS[given]
            return target
        wanted = given.astype(np.float64).reshape(-1)
        if len(wanted) != n or not np.isfinite(wanted).all():
            raise _invalid(actions, f"{n} positions in [-1, 1]")
        clipped: Floats = np.clip(wanted, -1.0, 1.0)
        return clipped

    def info(self) -> dict[str, npt.NDArray[Any]]:
        return {"row": self.walk.day.copy()}

    def get_state(self) -> State:
        return {"position": self.position.copy()}

    def set_state(self, state: State) -> None:
        self.position = np.array(state["position"], dtype=np.float64)

    # What learners use that differentiate through the reward (`rl.direct`): prices do not answer to positions.

    def draw(self, rng: np.random.Generator, n: int, steps: int) -> tuple[Obs, Floats]:
        """Observed fields but for the position (n, steps, 1), and the return that each step's position earns."""
        path = simulate(self.walk.market, [rng] * n, steps)  # one after the other from the same generator
        seen = {"x": path.signal} | ({"leak": path.following} if self.leaks else {})
        if self.walk.market.decoys:
            seen |= self._named(np.moveaxis(simulate_decoys(self.walk.market, [rng] * n, steps), 1, 0))
        fields = {name: values.astype(np.float32)[:, :, None] for name, values in seen.items()}
        return fields, path.following if self.earns == "return" else path.expected


def _invalid(actions: Any, wanted: str) -> DataError:
    return DataError(
        f"actions {' '.join(str(actions).split())[:80]} are not {wanted}.",
        where="PlantedTrading step",
        mend="sample from env.action_space to see valid ones; NaN comes from the policy",
    )


def _game(
    n: int,
    kind: Kind,
    phi: float,
    s: float,
    sigma: float,
    cost: float,
    episode_steps: int,
    actions: Actions,
    earns: Earns,
    decoys: int,
) -> _Planted:
    for name, got, known in (
        ("kind", kind, get_args(Kind)),
        ("actions", actions, get_args(Actions)),
        ("earns", earns, get_args(Earns)),
    ):
        if got not in known:
            raise SpecError(
                f"{name} '{got}' is not known.",
                where="PlantedTrading",
                mend=nearest(str(got), known) or f"one of {', '.join(known)}",
            )
    if not (0.0 <= phi < 1.0 and 0.0 < s < 1e4 and 0.0 <= sigma < 1e4 and 0.0 <= cost < 1e4 and episode_steps >= 1):
        raise SpecError(
            f"phi={phi}, s={s}, sigma={sigma}, cost={cost}, episode_steps={episode_steps} make no market.",
            where="PlantedTrading",
            mend="0 <= phi < 1, 0 < s, 0 <= sigma, 0 <= cost (all below 1e4), episode_steps >= 1",
        )
    if not 0 <= decoys <= MOST_DECOYS:
        raise SpecError(f"{decoys} decoys.", where="PlantedTrading", mend=f"give 0 to {MOST_DECOYS}")
    return _Planted(_Ahead(n, Market(kind, phi, s, sigma, decoys), episode_steps), cost, actions, earns)


class PlantedTradingEnv(MarketEnv):
    """`pellucid/PlantedTrading-v0`.

    Args:
        kind: what is planted, see the module.
        phi, s: autocorrelation and standard deviation of the signal.
        sigma: standard deviation of the noise of returns.
        cost: per unit of position changed.
        episode_steps: steps of an episode; every episode is a new path.
        actions: "discrete": short, out, long; "box": any position in [-1, 1].
        earns: "return": a position earns the next return; "signal": its expectation, which has the same optimum.
        decoys: fields `decoy_0`, ... that move like the signal and tell nothing.
        render_mode: only None.
    """

    metadata: dict[str, Any] = UNDISCOUNTED

    def __init__(
        self,
        kind: Kind = "ar1",
        phi: float = 0.95,
        s: float = 1.0,
        sigma: float = 0.0,
        cost: float = 1.0,
        episode_steps: int = 1000,
        actions: Actions = "discrete",
        earns: Earns = "return",
        decoys: int = 0,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(_game(1, kind, phi, s, sigma, cost, episode_steps, actions, earns, decoys), render_mode)


class PlantedTradingVectorEnv(MarketVectorEnv):
    """`num_envs` of `PlantedTradingEnv`, batched; the arguments are the same."""

    metadata: dict[str, Any] = BATCH_UNDISCOUNTED

    def __init__(
        self,
        num_envs: int = 1,
        kind: Kind = "ar1",
        phi: float = 0.95,
        s: float = 1.0,
        sigma: float = 0.0,
        cost: float = 1.0,
        episode_steps: int = 1000,
        actions: Actions = "discrete",
        earns: Earns = "return",
        decoys: int = 0,
        render_mode: str | None = None,
    ) -> None:
        game = _game(num_envs, kind, phi, s, sigma, cost, episode_steps, actions, earns, decoys)
        super().__init__(game, num_envs, render_mode)
