"""The folder of `tests/cli`, for faults that strike while a command runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))  # `home_folder.py`

from home_folder import home, made_once

__all__ = ["home", "made_once"]
