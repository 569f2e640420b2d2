"""A folder as a user has it, made once and copied for every test."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `home_folder.py`, shared with `tests/faults`

from home_folder import home, made_once

__all__ = ["home", "made_once"]
