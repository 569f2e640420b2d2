"""Sides of a diff that are written by hand, importable whatever way pytest imports tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `sides_by_hand.py`, shared by this folder's tests
