"""Randomness without state: a generator is named by what it is for and when.

`stream(seed, "ppo/shuffle", update)` gives the same numbers whenever it is asked, so a resumed run has
nothing to restore: only environments carry generators of their own. Philox is a counter-based generator
(Salmon et al. 2011); its 128-bit key is a hash of the name and its position.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, name: str, counter: int = 0) -> np.random.Generator:
    """A generator keyed by (seed, name, counter); independent of every other key."""
    digest = hashlib.blake2b(f"{seed}/{name}/{counter}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def derive(seed: int, name: str, counter: int = 0) -> int:
    """A 31-bit integer seed for a library that wants one (Gymnasium, torch)."""
    digest = hashlib.blake2b(f"{seed}/{name}/{counter}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % (2**31 - 1)
