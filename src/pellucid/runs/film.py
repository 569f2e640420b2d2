"""A filmed episode: what a policy does, as a GIF for its report. Draws into memory; no window is ever opened."""

from __future__ import annotations

import base64
import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from pellucid.core.errors import MissingExtra, PellucidError, require
from pellucid.core.program import Program
from pellucid.core.task import Task
from pellucid.envs import ALL as OWN
from pellucid.envs.making import find_spec
from pellucid.envs.vectorise import VectorAdapter
from pellucid.envs.vectorise import make as make_env
from pellucid.runs.outputs import HELD_OUT
from pellucid.runs.policies import greedy, on_rows
from pellucid.spec.model import GIVEN

if TYPE_CHECKING:
    from PIL import Image

FRAMES, WIDTH, LARGEST = 100, 320, 900_000  # of a GIF: frames, pixels, bytes
STEPS = 2_000  # of an episode that are filmed
DRAWING_S = 10.0  # about as long the drawing may take
FRAME_MS, LAST_MS = 50, 1_000
STILLS = 4  # frames of the strip that stands still


def film(program: Program, task: Task, *, seed: int = HELD_OUT) -> dict[str, Any] | None:
    """A greedy episode on a held-out seed.

    Args:
        seed: of the episode; the first of those by which the evidence was made.
    Returns:
        {"task", "env", "seed", "steps", "return", "whole", "gif", "still"}, the pictures in base64; {"task", "note"}
        when there can be none; None for a task whose environment is made of prices, which has charts instead.
    """
    if task.kind != "control" or on_rows(task) or str(task.options["env"]) in OWN:
        return None
    try:
        require("PIL", extra="render", purpose="filming an episode")
        with _no_window():
            env = _made(task)
            try:
                return _filmed(program, task, env, seed)
            finally:
                env.close()
    except MissingExtra as error:
        return {"task": task.name, "note": f"{error.what} {error.mend}"}
    except PellucidError as error:
        return {"task": task.name, "note": error.what}
    except Exception as error:  # a renderer, its drivers: a report must not fail by a picture
        said = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        return {"task": task.name, "note": f"The environment cannot be drawn here: {said}."}


def _made(task: Task) -> gymnasium.Env[Any, Any]:
    name = str(task.options["env"])
    if name.startswith(GIVEN):
        raise MissingExtra("The environment was given as an object.", mend="Give its id to have an episode filmed.")
    options = dict(task.options.get("env_options") or {})
    env = gymnasium.make(find_spec(name).id, **{**options, "render_mode": "rgb_array"})
    if "rgb_array" not in env.metadata.get("render_modes", []):
        env.close()
        raise MissingExtra("The environment has no pictures.", mend="It names no render mode 'rgb_array'.")
    return env


def _filmed(program: Program, task: Task, env: gymnasium.Env[Any, Any], seed: int) -> dict[str, Any]:
    """Played twice from the same seed: the first time for its length, so that only frames that are kept are drawn."""
    adapter, choose, clock = make_env(env, 1, seed), greedy(program, task), task.options.get("clock")
    total, steps, over = _play(adapter, choose, clock, lambda _: None)
    shown = set(np.linspace(0, steps - 1, min(steps, _affordable(env))).astype(int).tolist())
    frames: list[Image.Image] = []
    _play(adapter, choose, clock, lambda t: frames.append(_drawn(env)) if t in shown else None)
    return {
        "task": task.name,
        "env": str(task.options["env"]),
        "seed": seed,
        "steps": steps,
        "return": total,
        "whole": over,
        "gif": base64.b64encode(gif(frames)).decode(),
        "still": base64.b64encode(strip(frames)).decode(),
    }


def _affordable(env: gymnasium.Env[Any, Any]) -> int:
    """How many frames can be drawn in reasonable time: a renderer without a graphics card may take long over one."""
    _drawn(env)  # the first one sets the renderer up
    began = time.perf_counter()
    _drawn(env)
    return max(4 * STILLS, min(FRAMES, int(DRAWING_S / max(time.perf_counter() - began, 1e-6))))


def _play(
    adapter: VectorAdapter, choose: Any, clock: str | None, look: Callable[[int], object]
) -> tuple[float, int, bool]:
    """(return, steps, whether the episode ended); `look` is called before every step with its number."""
    obs, total = adapter.reset(), 0.0
    for t in range(STEPS):
        look(t)
        if clock is not None:
            obs = {**obs, clock: np.full((1, 1), t, dtype=np.float32)}
        step = adapter.step(choose(obs, t))
        obs, total = step.obs, total + float(step.reward[0])
        if step.terminated[0] or step.truncated[0]:
            return total, t + 1, True
    return total, STEPS, False


def _drawn(env: gymnasium.Env[Any, Any]) -> Image.Image:
    from PIL import Image

    pixels = np.asarray(env.render(), dtype=np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if picture.width > WIDTH:
        height = max(1, round(picture.height * WIDTH / picture.width))
        picture = picture.resize((WIDTH, height), Image.Resampling.BOX)
    return picture


def gif(frames: list[Image.Image], largest: int = LARGEST) -> bytes:
    """Frames as an animation that repeats, shrunk until it is small enough (bytes)."""
    from PIL import Image

    width, colours = frames[0].width, 64
    while True:
        size = (width, max(1, round(frames[0].height * width / frames[0].width)))
        small = [frame.resize(size, Image.Resampling.BOX) if frame.size != size else frame for frame in frames]
        first, *rest = (frame.quantize(colours, dither=Image.Dither.NONE) for frame in small)
        out = io.BytesIO()
        times = [FRAME_MS] * len(rest) + [LAST_MS]
        first.save(out, "GIF", save_all=True, append_images=rest, duration=times, loop=0, optimize=True)
        if out.tell() <= largest or width < 32:
            return out.getvalue()
        width, colours = int(width * 0.8), max(16, colours // 2)


def strip(frames: list[Image.Image]) -> bytes:
    """A few frames side by side, in order, as PNG: what moves, standing still."""
    from PIL import Image

    chosen = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, STILLS).astype(int))]
    width, height, gap = chosen[0].width, chosen[0].height, 2
    sheet = Image.new("RGB", (len(chosen) * (width + gap) - gap, height), "silver")
    for i, frame in enumerate(chosen):
        sheet.paste(frame.convert("RGB"), (i * (width + gap), 0))
    out = io.BytesIO()
    sheet.quantize(128, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


@contextmanager
def _no_window() -> Iterator[None]:
    """SDL draws into memory, MuJoCo off screen; what renderers say about themselves is no matter of the report."""
    chosen = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}
    if sys.platform == "linux" and "MUJOCO_GL" not in os.environ:
        chosen["MUJOCO_GL"] = "egl"
    before = {name: os.environ.get(name) for name in chosen}
    os.environ.update(chosen)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
