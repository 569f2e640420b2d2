"""Realistic inputs of every renderer, and hostile ones."""

from __future__ import annotations

import base64
import datetime as dt
import math
from typing import Any

import numpy as np

HOSTILE = "<script>alert('x')</script>\"&amp;<img src=x onerror=alert(1)>"
LONG = "a_name_that_somebody_generated_by_joining_twenty_columns_with_underscores_and_never_looked_at_again_" * 2
NAN, INF = math.nan, math.inf

METHOD = "stationary bootstrap, mean block 20, 2000 resamples, 95 %"


def baseline(name: str, role: str, value: float, half: float, difference: float, diff_half: float) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "value": value,
        "low": value - half,
        "high": value + half,
        "difference": difference,
        "difference_low": difference - diff_half,
        "difference_high": difference + diff_half,
    }


def _task(task: str, kind: str, metric: str, unit: str, value: float, half: float, **rest: Any) -> dict[str, Any]:
    return {
        "task": task,
        "kind": kind,
        "metric": metric,
        "unit": unit,
        "better": "lower",
        "n": 1257,
        "value": value,
        "low": value - half,
        "high": value + half,
        "method": METHOD,
        "extra": {},
        **rest,
    }


def evidence() -> dict[str, Any]:
    folds = [
        {"train": "1999-12-31 to 2005-12-30", "test": "2006-01-04 to 2009-12-31", "n": 1004, "value": 0.00411},
        {"train": "1999-12-31 to 2009-12-24", "test": "2010-01-04 to 2013-12-31", "n": 1006, "value": 0.00302},
        {"train": "1999-12-31 to 2013-12-24", "test": "2014-01-02 to 2018-12-31", "n": 1257, "value": 0.00249},
    ]
    forecast = _task(
        "forecast",
        "forecast",
        "pinball",
        "log return",
        0.002491,
        0.00019,
        verdict="equivalent",
        folds=folds,
        sentence="forecast: equivalent to the best baseline (AR(1)): the difference is within the margin.",
        baselines=[
            baseline("mean", "naive", 0.002512, 0.00019, -0.000021, 0.00003),
            baseline("persistence", "naive", 0.003624, 0.00024, -0.001133, 0.00012),
            baseline("AR(1)", "model", 0.002503, 0.00019, -0.000012, 0.00002),
        ],
    )
    risk = _task(
        "risk",
        "volatility",
        "squared error",
        "log variance",
        0.842,
        0.07,
        verdict="better",
        folds=folds[1:],
        sentence="risk: better than every baseline; against GARCH(1,1) by 0.061 on 1,257 days.",
        baselines=[
            baseline("mean", "naive", 1.604, 0.15, -0.762, 0.13),
            baseline("persistence", "naive", 1.118, 0.09, -0.276, 0.05),
            baseline("GARCH(1,1)", "model", 0.903, 0.08, -0.061, 0.034),
        ],
    )
    trade = _task(
        "trade",
        "control",
        "negative_reward",
        "share of the notional a day",
        -0.00021,
        0.00044,
        verdict="no skill shown",
        folds=folds[2:],
        sentence="trade: no skill shown: after costs the policy is not better than buying and holding.",
        extra={
            "annual_return": 0.0529,
            "deflated_sharpe": 0.12,
            "max_drawdown": 0.142,
            "sharpe": 0.41,
            "sharpe_high": 0.93,
            "sharpe_low": -0.11,
            "trials": 1.0,
            "turnover": 20.9,
            "hit_rate": {"value": 0.083, "low": 0.071, "high": 0.096},
        },
        baselines=[
            baseline("buy and hold", "naive", -0.00031, 0.00043, 0.0001, 0.00031),
            baseline("cash", "naive", 0.0, 0.0, -0.00021, 0.00044),
            baseline("momentum 20 days", "model", -0.00009, 0.00044, -0.00012, 0.0005),
        ],
    )
    return {
        "program": "stocks",
        "tasks": [forecast, risk, trade],
        "controls": [
            _control("planted market", "skill", "skill shown", -0.0012, 0.0003),
            _control("random walk", "no skill", "no skill shown", 0.00001, 0.0002),
        ],
        "curves": curves(),
        "seed": 7,
        "trials": 1,
        "looks": 3,
        "notes": ["12 days without volume were left out"],
        "parameters": 68_412,
        "review": {"n": 1257, "from": "2014-01-02", "to": "2018-12-31"},
        "seconds": 134.2,
    }


def _control(name: str, expect: str, verdict: str, difference: float, half: float) -> dict[str, Any]:
    tasks = [
        _task(
            task,
            "forecast",
            "pinball",
            "log return",
            0.0031,
            0.0002,
            verdict=verdict,
            skill=verdict == "skill shown",
            sentence=f"{task}: {verdict}.",
            folds=[],
            baselines=[baseline("mean", "naive", 0.0031 - difference, 0.0002, difference, half)],
        )
        for task in ("forecast", "trade")
    ]
    return {"name": name, "expect": expect, "tasks": tasks, "passed": True}


def curves() -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    shown = []
    for task, name, scale, floor in (
        ("forecast", "pinball loss", 0.02, 0.0025),
        ("risk", "squared error", 90.0, 0.8),
        ("trade", "episode_return", -0.3, 0.05),
        ("trade", "entropy", 0.6, 0.4),
    ):
        x = list(range(0, 3000, 10))
        y = [floor + scale * math.exp(-t / 300) * (1 + 0.1 * float(rng.normal())) for t in x]
        shown.append({"task": task, "name": name, "x": x, "y": y})
    return shown


def wealth() -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    days = [(dt.date(2014, 1, 2) + dt.timedelta(days=i)).isoformat() for i in range(1825) if i % 7 not in (2, 3)]
    market = rng.normal(0.0003, 0.008, len(days))
    series = []
    for name, position, cost in (
        ("stocks@1", 0.7, 0.00002),
        ("buy and hold", 1.0, 0.0),
        ("momentum 20 days", 0.4, 0.00008),
        ("cash", 0.0, 0.0),
    ):
        noise = rng.normal(0, 0.003 if 0 < position < 1 else 0, len(days))
        series.append({"name": name, "y": [float(v) for v in 1 + np.cumsum(position * market + noise - cost)]})
    return [
        {
            "title": "trade: wealth after costs",
            "task": "trade",
            "unit": "wealth, start = 1",
            "x": days,
            "series": series,
        }
    ]


PLAYERS = [
    "return[t]",
    "return[t-1..4]",
    "return[t-5..]",
    "range[t]",
    "range[t-1..4]",
    "range[t-5..]",
    "volume[t]",
    "volume[t-1..4]",
    "volume[t-5..]",
    "level",
]


def explanation(task: str, outputs: list[str], unit: str, scale: float, keys: list[str]) -> dict[str, Any]:
    rng = np.random.default_rng(len(task) + len(keys))
    shape = (len(keys), len(PLAYERS), len(outputs))
    values = rng.normal(0, scale, shape) * np.linspace(1.6, 0.15, len(PLAYERS))[None, :, None]
    base = rng.normal(0, scale, len(outputs))
    return {
        "task": task,
        "unit": unit,
        "method": "permutation Shapley",
        "seed": 7,
        "evaluations": 204800,
        "background_n": 100,
        "players": PLAYERS,
        "outputs": outputs,
        "keys": keys,
        "values": values.tolist(),
        "error": np.abs(rng.normal(0, scale * 0.08, shape)).tolist(),
        "base": base.tolist(),
        "prediction": (base + values.sum(1)).tolist(),
        "shown": [[f"{v:+.2f}" for v in rng.normal(0, 1.5, len(PLAYERS))] for _ in keys],
    }


def explanations() -> list[dict[str, Any]]:
    days = ["SP500/2018-02-05", "SP500/2018-12-26"]
    many = [f"SP500/2018-{m:02d}-15" for m in range(1, 13)]
    return [
        explanation("forecast", ["q10", "q50", "q90"], "log return", 0.002, days),
        explanation("risk", ["log variance"], "log variance", 0.6, days),
        explanation("trade", ["short", "flat", "long", "value"], "logit", 0.3, days + many[-5:]),
    ]


def parts() -> list[dict[str, Any]]:
    """Two rows in four patches of a picture, three segments of a series, and a number."""
    one = explanation("digit", ["three", "eight"], "logit", 0.8, ["17", "18"])
    picture = base64.b64encode(bytes(range(0, 256, 16))).decode()
    places = [[0, 0, 2, 2], [0, 2, 2, 4], [2, 0, 4, 2], [2, 2, 4, 4]]
    found = {"field": "digit", "players": [0, 1, 2, 3], "places": places, "shape": [4, 4, 1], "newest": 0}
    series = {"field": "sold", "players": [4, 5, 6], "places": [[0, 2], [2, 4], [4, 6]], "shape": [6], "newest": -1}
    raw = [[0.5, 1.0, None, 0.2, -0.3, -1.0], [0.0] * 6]
    return [{**one, "laid": [{**found, "raw": [picture, picture]}, {**series, "raw": raw}]}]


def policy() -> dict[str, Any]:
    """An episode of 40 steps explained, and what its return rests on."""
    steps, players = 40, ["x", "decoy", "position"]
    keys = [f"pellucid/PlantedTrading-v0/seed=7/step={t}" for t in range(steps)]
    one = explanation("trade", ["short", "flat", "long", "value"], "logit", 1.0, keys)
    waves = [[[math.sin(t / 3 + j)] for j in range(len(one["players"]))] for t in range(steps)]
    episode = {
        "kind": "episode",
        "outputs": one,
        "margins": ["margin"],
        "margin_values": waves,
        "margin_error": [[[0.1] for _ in one["players"]] for _ in keys],
        "margin_base": [[0.5] for _ in keys],
        "margin": [[1.5] for _ in keys],
        "chosen": ["long" if t % 7 else "flat" for t in range(steps)],
        "runner_up": ["flat" if t % 7 else "long" for t in range(steps)],
        "rewards": [0.01 * (t % 5 - 1) for t in range(steps)],
        "env": "pellucid/PlantedTrading-v0",
        "seed": 7,
        "end": "truncated",
        "background": "64 of the states of its own greedy episodes, seeds 999003 to 999010",
    }
    outcome = {
        "kind": "outcome",
        "task": "trade",
        "env": "pellucid/PlantedTrading-v0",
        "unit": "return of an episode",
        "seen": 251.5,
        "low": 248.25,
        "high": 254.75,
        "hidden": [
            {"feature": name, "value": 251.5 + change, "change": change, "low": change - 2.25, "high": change + 2.25}
            for name, change in zip(players, (-250.5, 0.125, -60.75), strict=True)
        ],
        "n": 50,
        "pairs": "episodes on seeds 1000003 to 1000052",
        "hiding": "hidden: at every step the policy sees other values",
        "method": "paired differences; bootstrap of independent rows, 2000 resamples, 95 %",
        "seed": 0,
        "warnings": ["3 episodes with a hidden feature had no end and were cut"],
    }
    return {"episode": episode, "outcome": outcome}


def corrections() -> list[dict[str, Any]]:
    return [
        {
            "kind": "ignore",
            "target": "volume",
            "scope": "all rows",
            "task": "forecast, risk, trade",
            "who": "Ada Quant",
            "when": "2026-03-02 10:14",
            "reason": "Volume is revised after the close: what we train on is not what we would have had.",
        }
    ]


UNITS = {
    "pinball": ("forecast", "pinball loss", "log return"),
    "qlike": ("volatility", "QLIKE", ""),
    "negative_reward": ("control", "net return after costs, negated", "share of the notional a day"),
}
CAME = {"pinball": ("0.022714051233730714", "-0.007579458481687951"), "qlike": ("-10.119854380815754", None)}


def _diff_task(task: str, metric: str, base: float, change: float, half: float, verdict: str) -> dict[str, Any]:
    """As `review.diff` writes it: shares and shifts are of the base's whole attribution."""
    rng = np.random.default_rng(len(metric))
    players = {"return": (0.312, 0.334), "range": (0.281, 0.283), "volume": (0.121, 0.0019), "level": (0.286, 0.287)}
    shifts = {"return": 0.031, "range": 0.002, "volume": 0.1207, "level": 0.0242}
    kind, label, unit = UNITS[metric]
    first, second = CAME.get(metric, ("0.00808806612873708", None))
    return {
        "task": task,
        "kind": kind,
        "metric": metric,
        "label": label,
        "unit": unit,
        "n": 1257,
        "base": base,
        "candidate": base + change,
        "change": change,
        "low": change - half,
        "high": change + half,
        "verdict": verdict,
        "flips": {
            "n": 1257,
            "changed": 47,
            "share": 47 / 1257,
            "to_better": 22,
            "to_worse": 19,
            "mcnemar_p": 0.755,
            "examples": [
                {"key": "SP500/2015-08-24", "from": "long", "to": "flat", "y": first},
                {"key": "SP500/2018-02-05", "from": "short", "to": "flat", "y": second},
            ],
        },
        "outputs": [{"name": "q50", "correlation": 0.983, "mean_abs_change": 0.00012}],
        "attribution": [
            {
                "player": p,
                "base": before,
                "candidate": after,
                "shift": shifts[p],
                "noise": float(abs(rng.normal(0, 0.0003)) + 0.0031),
                "shown": shifts[p] > 0.01,
            }
            for p, (before, after) in players.items()
        ],
    }


def diff() -> dict[str, Any]:
    return {
        "base": "stocks@1",
        "candidate": "stocks~3f2a",
        "verdict": "better",
        "empty": False,
        "contaminated": 0,
        "tasks": [
            _diff_task("forecast", "pinball", 0.002491, 0.000003, 0.00001, "equivalent"),
            _diff_task("risk", "qlike", 0.842, 0.004, 0.011, "equivalent"),
            _diff_task("trade", "negative_reward", -0.00021, -0.00002, 0.00009, "equivalent"),
        ],
        "gates": [
            {
                "name": "risk: effect of do(volume)",
                "task": "risk",
                "title": "effect of do(volume)",
                "kind": "change",
                "required": "down at least 80 %",
                "seen": "down 93.1 % [88.0, 96.4]",
                "passed": True,
            },
            {
                "name": "forecast: the loss stays",
                "task": "forecast",
                "title": "the loss stays",
                "kind": "keep",
                "required": "pinball within ±0.00005",
                "seen": "+0.000003 [-0.000007, +0.000013]",
                "passed": True,
            },
            {
                "name": "risk: not constant",
                "task": "risk",
                "title": "not constant",
                "kind": "keep",
                "required": "correlation at least 0.95",
                "seen": "0.983",
                "passed": True,
            },
            {
                "name": "risk: cost on ordinary data",
                "task": "risk",
                "title": "cost on ordinary data",
                "kind": "budget",
                "required": "at most 1 %",
                "seen": "0.5 % [-0.8, 1.8]",
                "passed": True,
            },
            {
                "name": "risk: control: not told of volume",
                "task": "risk",
                "title": "control: not told of volume",
                "kind": "control",
                "required": "at most a quarter of the effect",
                "seen": "3.2 %",
                "passed": True,
            },
        ],
        "parameters": {"touched": 2816, "total": 68_412, "share": 2816 / 68_412, "bytes": 11_264},
        "provenance": {
            "base": {
                "version": "stocks@1",
                "weights": "9f86d081884c7d659a2feaa0c55ad015",
                "seed": 7,
                "torch": "2.13.0",
            },
            "candidate": {
                "version": "stocks~3f2a",
                "parent": "stocks@1",
                "delta": "60303ae22b998861bce3b28f33eec1be",
                "method": "adalora",
            },
        },
        "because": ["volume is revised after the close"],
    }


def self_diff() -> dict[str, Any]:
    one = diff()
    for task in one["tasks"]:
        task.update(change=0.0, low=0.0, high=0.0, candidate=task["base"], attribution=[])
        task["flips"].update(changed=0, share=0.0, to_better=0, to_worse=0, examples=[], mcnemar_p=None)
    empty = {"candidate": "stocks@1", "empty": True, "verdict": "equivalent", "gates": [], "because": []}
    return {**one, **empty, "parameters": {"touched": 0, "total": 68_412, "share": 0.0, "bytes": 0}}


def history() -> list[dict[str, Any]]:
    return [
        {
            "when": "2026-03-01T09:02:31+00:00",
            "who": "Ada Quant",
            "what": "fitted",
            "ref": "stocks@1",
            "because": "first fit on 1999-2013",
        },
        {
            "when": "2026-03-02 10:14",
            "who": "Ada Quant",
            "what": "feedback: ignore volume",
            "ref": "stocks@1",
            "because": "volume is revised after the close",
        },
        {
            "when": "2026-03-02 10:21",
            "who": "Grace Risk",
            "what": "accepted",
            "ref": "stocks@2",
            "because": "effect gone, nothing else moved",
        },
    ]


def search() -> dict[str, Any]:
    losses = [0.69, 0.5, None, 0.62, 0.41]
    states = ["done", "done", "failed", "pruned", "done"]
    return {
        "task": "forecast",
        "sampler": "tpe",
        "pruner": "median",
        "space": {
            "train.lr": {"low": 1e-4, "high": 0.1, "log": True, "choices": []},
            "network.kind": {"low": None, "high": None, "log": False, "choices": ["mlp", "ensemble"]},
        },
        "trials": [
            {
                "number": i,
                "params": {"train.lr": 0.001 * (i + 1), "network.kind": "mlp" if i % 2 else "ensemble"},
                "state": state,
                "why": "the loss is not finite at update 3" if state == "failed" else "",
                "loss": loss,
                "rungs": 9,
            }
            for i, (loss, state) in enumerate(zip(losses, states, strict=True))
        ],
        "best": 4,
        "taken": 4,
        "rows": {"train": 480, "choose": 240, "confirm": 240},
        "confirm": {
            "trial": 4,
            "n": 240,
            "base": 0.69,
            "chosen": 0.42,
            "change": -0.27,
            "low": -0.35,
            "high": -0.2,
            "verdict": "better",
            "method": "paired bootstrap of independent rows, 2000 resamples, 95 %",
        },
        "sentence": "search for forecast: 5 settings: trial 4 is better than the spec as it stands.",
    }


def report() -> dict[str, Any]:
    return {
        "program": "stocks",
        "version": "stocks@2",
        "facts": {"Fitted": "2026-03-01", "Data": "S&P 500, 1999-01-04 to 2018-12-31", "torch": "2.13.0"},
        "evidence": {**evidence(), "search": search()},
        "wealth": wealth(),
        "explanations": explanations(),
        "corrections": corrections(),
        "diff": diff(),
        "history": history(),
    }


def poisoned(raw: Any, *, text: str | None = None, value: float | None = None) -> Any:
    """The same structure with every text (or every number) replaced; verdicts and dates stay."""
    kept = {"verdict", "kind", "role", "better", "expect", "x", "from_"}
    if isinstance(raw, dict):
        return {k: v if k in kept else poisoned(v, text=text, value=value) for k, v in raw.items()}
    if isinstance(raw, list):
        return [poisoned(v, text=text, value=value) for v in raw]
    if isinstance(raw, str) and text is not None:
        return text
    return value if isinstance(raw, (int, float)) and not isinstance(raw, bool) and value is not None else raw
