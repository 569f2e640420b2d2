"""A folder as a user has it, made once and copied for every test."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `home_folder.py`, shared by this folder's tests

from home_folder import Home, made


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PELLUCID_USER", "ada")
        return made(folder)


@pytest.fixture
def home(_made: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy for one test, which is the working folder and which it may change."""
    folder = tmp_path / "home"
    shutil.copytree(_made.folder, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PELLUCID_USER", "ada")
    return Home(folder, _made.open, _made.rejected, _made.stale)
