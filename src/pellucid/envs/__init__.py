"""Environments, and one convention for learners over every environment that Gymnasium can make.

Importing this package registers its environments. Gymnasium 1.x loads no plugins, so code that does not import
Pellucid names the module with the id: `gym.make("pellucid.envs:pellucid/StockTrading-v0")`.
"""

from __future__ import annotations

import gymnasium

ALL: dict[str, tuple[str, str]] = {  # id -> entry points of one environment, of a batch of them
    "pellucid/StockPrice-v0": ("pellucid.envs.price:StockPriceEnv", "pellucid.envs.price:StockPriceVectorEnv"),
    "StockPrice-v0": ("pellucid.envs.price:StockPriceEnv", "pellucid.envs.price:StockPriceVectorEnv"),
    "pellucid/StockTrading-v0": (
        "pellucid.envs.trading:StockTradingEnv",
        "pellucid.envs.trading:StockTradingVectorEnv",
    ),
    "pellucid/PlantedTrading-v0": (
        "pellucid.envs.planted_trading:PlantedTradingEnv",
        "pellucid.envs.planted_trading:PlantedTradingVectorEnv",
    ),
}


def register() -> None:
    """Tell Gymnasium of every environment in `ALL`; harmless when repeated."""
    for name, (single, batch) in ALL.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=single, vector_entry_point=batch)


register()
