"""Engines that some of Gymnasium's own environments need, and the extra that brings each."""

from __future__ import annotations

import logging

import gymnasium

from pellucid.core.errors import require

EXTRAS = {  # where Gymnasium keeps such environments -> (our extra, what must be importable)
    "gymnasium.envs.box2d": ("box2d", ("Box2D", "pygame")),
    "gymnasium.envs.mujoco": ("mujoco", ("mujoco", "imageio")),
}


def require_engine(spec: gymnasium.envs.registration.EnvSpec) -> None:
    """Raise `MissingExtra` when an environment of Gymnasium lacks its engine."""
    for place, (extra, modules) in EXTRAS.items():
        if isinstance(spec.entry_point, str) and spec.entry_point.startswith(place):
            for module in modules:
                require(module, extra=extra, purpose=f"environment '{spec.id}'")
            if extra == "mujoco":
                _mujoco_to_log()


def _mujoco_to_log() -> None:
    """MuJoCo's warnings go to the log `mujoco`; else it prints them and leaves a file in the working directory."""
    import mujoco

    mujoco.set_mju_user_warning(logging.getLogger("mujoco").info)
