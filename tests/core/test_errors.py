"""The tree of errors: three lines, a standard-library parent each, and the picture in the docstring is true."""

import re

import pytest

from pellucid.core import errors
from pellucid.core.errors import MissingExtra, PellucidError, nearest, require

CLASSES = [getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)]


def test_the_picture_shows_every_class_with_its_parents():
    shown = re.findall(r"[├└│ ]── (\w+)\s+(?:\((\w+)\))?", errors.__doc__)
    assert {name for name, _ in shown} == {c.__name__ for c in CLASSES} - {"PellucidError"}
    for name, parent in shown:
        if parent:
            assert parent in {base.__name__ for base in getattr(errors, name).__mro__}


@pytest.mark.parametrize("kind", CLASSES)
def test_three_lines(kind):
    error = kind("what happened.", where="file.py:3", mend="do this")
    assert str(error).splitlines() == ["what happened.", "  where: file.py:3", "  mend:  do this"]
    assert isinstance(error, PellucidError)
    assert error.exit_code in (1, 2, 130)
    assert str(kind("only what.")) == "only what."


def test_exit_codes_are_as_documented():
    """2: usage or data; 1: a gate failed; 130: as shells say of a process that Ctrl-C ended."""
    assert {c.__name__: c.exit_code for c in CLASSES if c.exit_code != 2} == {"GateFailed": 1, "Interrupted": 130}


def test_nearest():
    assert nearest("volum", ["volume", "level"]) == "did you mean 'volume'?"
    assert nearest("zzz", ["volume"]) == ""


def test_require_names_the_extra():
    require("json", extra="xai", purpose="a plot")
    with pytest.raises(MissingExtra) as caught:
        require("no_such_module_here", extra="xai", purpose="a plot")
    assert "pip install 'pellucid[xai]'" in str(caught.value)
    assert isinstance(caught.value, ImportError)
