"""An episode for a notebook: features by steps, with the action taken, the reward and the value underneath."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.core.errors import require

if TYPE_CHECKING:
    from pellucid.explain.episode import EpisodeExplanation


def figure(episode: EpisodeExplanation, *, output: str | int | None = None, k: int = 12) -> Any:
    """A matplotlib figure of one output; the k players of the largest mean absolute value."""
    require("matplotlib", extra="xai", purpose="EpisodeExplanation.plot()")
    at = episode.position(output)
    values = episode.of(at)[0]
    shown = [episode.players.index(name) for name, _ in episode.mean_size(at)[:k]]
    own, steps = episode.outputs, np.arange(len(episode))
    made = import_module("matplotlib.figure").Figure(figsize=(9.0, 0.35 * len(shown) + 3.4), layout="constrained")
    heat, done, earned = made.subplots(3, 1, sharex=True, height_ratios=[0.35 * len(shown) + 0.6, 0.9, 1.2])
    most = float(np.abs(values).max()) or 1.0
    limits = (-0.5, len(episode) - 0.5, len(shown) - 0.5, -0.5)
    kind = {"cmap": "RdBu", "vmin": -most, "vmax": most, "aspect": "auto", "interpolation": "nearest"}
    picture = heat.imshow(values[:, shown].T, extent=limits, **kind)
    heat.set_yticks(range(len(shown)), [episode.players[i] for i in shown])
    heat.set_title(f"{own.task}: {episode.names[at]} in {episode.env}, seed {episode.seed}")
    made.colorbar(picture, ax=heat, label=f"value ({own.unit})", pad=0.01)
    words = sorted(set(episode.chosen), key=lambda word: _place(own.outputs, word))
    if len(words) <= 12:
        done.step(steps, [words.index(word) for word in episode.chosen], where="mid", color="0.2")
        done.set_yticks(range(len(words)), words)
    else:  # continuous actions
        done.plot(steps, own.prediction[:, : max(1, len(own.outputs) - ("value" in own.outputs))])
    done.set_ylabel("action")
    earned.plot(steps, episode.rewards, color="tab:green", label="reward")
    if "value" in own.outputs:
        other = earned.twinx()
        other.plot(steps, own.prediction[:, own.outputs.index("value")], color="tab:purple", label="value")
        other.set_ylabel("value")
    earned.set_ylabel("reward")
    earned.set_xlabel("step")
    return made


def _place(outputs: tuple[str, ...], word: str) -> tuple[int, str]:
    """Actions in the order of the outputs."""
    return (outputs.index(word) if word in outputs else len(outputs), word)
