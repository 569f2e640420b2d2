"""A filmed episode: the one that the evidence counts, small, still until it is asked for; without it, a line."""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import re
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import gymnasium
import numpy as np
import pytest
from PIL import Image

from pellucid.assemble import assemble, problem
from pellucid.nn.program import NetworkProgram
from pellucid.report.html import program_report
from pellucid.runs.film import FRAMES, film, gif
from pellucid.runs.fit import fit
from pellucid.runs.outputs import outputs_table
from pellucid.runs.pages import report
from pellucid.spec.loader import spec_from
from pellucid.spec.presets import env_spec
from pellucid.store.store import Store

SMALL = ("tasks.policy.ppo.num_envs=2", "tasks.policy.ppo.steps=16", "tasks.policy.ppo.minibatch=32")


def untrained(env: str, *overrides: str) -> NetworkProgram:
    program = assemble(problem(env_spec(env, algorithm="ppo", overrides=(*SMALL, *overrides))), None, seed=1).finish()
    program.network.eval()
    return program


def picture(text: str) -> Any:
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_the_film_is_the_first_episode_of_the_evidence(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    program = untrained(env)
    task = program.task("policy")
    found = film(program, task)
    assert found is not None
    table = outputs_table(program, task, None, episodes=1)
    assert found["return"] == pytest.approx(float(table["out:return"][0]))
    assert f"{found['steps']} steps" == table["decision"][0]
    assert found["whole"]
    moving, still = picture(found["gif"]), picture(found["still"])
    assert moving.format == "GIF"
    assert 1 < moving.n_frames <= min(FRAMES, found["steps"])
    assert moving.info["loop"] == 0
    assert len(base64.b64decode(found["gif"])) < 1_000_000
    assert still.format == "PNG"
    assert getattr(still, "n_frames", 1) == 1
    assert np.ptp(np.asarray(still.convert("L"))) > 50  # something is to be seen
    assert film(program, task) == found  # the same bytes
    assert "SDL_VIDEODRIVER" not in os.environ


def test_a_large_film_is_made_smaller() -> None:
    g = np.random.default_rng(0)
    frames = [Image.fromarray(g.integers(0, 255, (80, 120, 3), dtype=np.uint8)) for _ in range(12)]
    plain, small = gif(frames), gif(frames, largest=30_000)
    assert len(small) <= 30_000 < len(plain)
    assert picture(base64.b64encode(small).decode()).n_frames == 12


def test_what_cannot_be_drawn_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    program = untrained("CartPole-v1")
    task = program.task("policy")

    def missing(*_: Any) -> None:
        raise gymnasium.error.DependencyNotInstalled("pygame is not installed, run pip install.")

    with monkeypatch.context() as patched:
        patched.setattr("gymnasium.envs.classic_control.cartpole.CartPoleEnv.render", missing)
        found = film(program, task)
    assert found == {
        "task": "policy",
        "note": "The environment cannot be drawn here: pygame is not installed, run pip install.",
    }
    there = importlib.util.find_spec
    with monkeypatch.context() as patched:
        patched.setattr(importlib.util, "find_spec", lambda name: None if name == "PIL" else there(name))
        found = film(program, task)
    assert found is not None
    assert "pip install 'pellucid[render]'" in found["note"]


def test_an_environment_without_pictures_is_a_line_and_prices_have_charts() -> None:
    from gymnasium.envs.classic_control import CartPoleEnv

    class Blind(CartPoleEnv):
        metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 50}

        def __init__(self, render_mode: str | None = None) -> None:
            super().__init__()

    gymnasium.register("Blind-v0", entry_point=Blind, max_episode_steps=50)
    try:
        found = film((program := untrained("Blind-v0")), program.task("policy"))
    finally:
        del gymnasium.registry["Blind-v0"]
    assert found is not None
    assert found["note"].startswith("The environment has no pictures.")
    raw = {
        "name": "tiny",
        "data": {"kind": "prices", "source": "planted", "window": 5, "start": "2001-01-01", "end": "2003-12-31"},
        "tasks": {"trade": {"kind": "control", "env": "pellucid/StockTrading-v0"}, "risk": {"kind": "volatility"}},
    }
    trader = partial(assemble, problem(spec_from(raw, where="test")), np.arange(200), seed=3)().finish()
    assert [film(trader, task) for task in trader.tasks.values()] == [None, None]


def test_the_report_shows_a_still_and_moves_only_when_asked(tmp_path: Path) -> None:
    quick = ("train.updates=4", "network.width=8", "evidence.episodes=2", "explain.evaluations=8")
    store = Store(tmp_path)
    fit(env_spec("CartPole-v1", algorithm="ppo", overrides=(*SMALL, *quick, "explain.background=8")), store)
    page = report(store, "cartpole-v1@1")
    root = ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))
    section = next(e for e in root.iter("section") if e.get("id") == "film")
    still = section.find(".//figure/img")
    moving = section.find(".//details/img")
    assert still is not None
    assert moving is not None
    assert still.get("src", "").startswith("data:image/png;base64,")
    assert moving.get("src", "").startswith("data:image/gif;base64,")
    assert "CartPole-v1" in still.get("alt", "")
    assert re.search(r"seed 1000003: a return of \d+ in \d+ steps", moving.get("alt", ""))
    assert all(details.get("open") is None for details in section.iter("details"))
    assert len(page) < 1_500_000


def test_a_note_is_one_escaped_line() -> None:
    page = program_report({"program": "p", "films": [{"task": "policy", "note": "<b>no pictures</b>"}]})
    assert "policy: no film. &lt;b&gt;no pictures&lt;/b&gt;" in page
    assert "<img" not in page
