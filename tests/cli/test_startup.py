"""Starting is cheap: what `import pellucid`, the help and the spec load, and how errors come out."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import pellucid
from pellucid.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "pandas", "sklearn", "scipy", "matplotlib", "pyarrow", "sqlalchemy", "gymnasium", "arch"}
ENV = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
RUN = "import sys; from pellucid.cli.main import main; code = main(sys.argv[1:]); "


def loaded(code: str, *words: str) -> set[str]:
    """Top-level modules in a fresh interpreter after `code`."""
    tail = "; import sys, json; print(); print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    command = [sys.executable, "-c", code + tail, *words]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [None, [], ["--help"], ["--version"]], ids=str)
def test_the_package_and_its_help_load_nothing_heavy(words: list[str] | None) -> None:
    code = "import pellucid" if words is None else RUN.rstrip("; ")
    modules = loaded(code, *(words or []))
    assert "pellucid" in modules
    assert not modules & (HEAVY | {"numpy", "pydantic", "yaml", "rich"})


def test_the_spec_loads_nothing_heavy() -> None:
    assert not loaded("import pellucid.spec.loader") & (HEAVY | {"numpy"})
    assert not loaded(RUN.rstrip("; "), "check", "spec", str(ROOT / "examples/stocks.yaml")) & (HEAVY | {"numpy"})


@pytest.mark.parametrize("name", [name for name in COMMANDS if importlib.util.find_spec(f"pellucid.cli.{name}")])
def test_the_help_of_a_command_loads_nothing_heavy(name: str) -> None:
    assert not loaded(RUN.rstrip("; "), name, "--help") & HEAVY


def fastest_s(*command: str) -> float:
    """The least of five: what a busy machine adds is not ours."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], env=ENV, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def test_starting_takes_at_most_300_ms() -> None:
    assert fastest_s("-c", "import pellucid") <= 0.3
    assert fastest_s("-m", "pellucid.cli.main", "--help") <= 0.3


def test_all_resolves() -> None:
    assert len(pellucid.__all__) == len(set(pellucid.__all__)) <= 30
    for name in pellucid.__all__:
        assert getattr(pellucid, name) is not None
    assert set(dir(pellucid)) == set(pellucid.__all__)


def test_the_type_checker_sees_every_name() -> None:
    source = (ROOT / "src/pellucid/__init__.py").read_text()
    assert [name for name in pellucid.__all__ if name != "__version__" and f" as {name}\n" not in source] == []


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        pellucid.fitt  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == pellucid.__version__


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_with_an_example(name: str) -> None:
    module = importlib.import_module(f"pellucid.cli.{name}")
    assert callable(module.add_arguments)
    assert callable(module.run)
    assert f"pellucid {name}" in module.EXAMPLE


def test_the_help_names_the_commands_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("commands:") + 1
    assert [line.split()[0] for line in lines[start : start + len(COMMANDS)]] == list(COMMANDS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["revize"], "did you mean 'revise'?"),
        (["--hlep"], "no option '--hlep'"),
        (["check", "spce"], "invalid choice"),
        (["check", "spec", "--sett", "a=1"], "unrecognized arguments: --sett"),
        (["check", "spec", "nowhere.yaml"], "no such spec file"),
        (["check", "spec"], "no spec file"),
    ],
)
def test_usage_errors_are_three_lines_and_exit_2(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("  where: ")
    assert lines[2].startswith("  mend:  ")
    assert expected in captured.err


def test_debug_shows_the_traceback() -> None:
    command = [sys.executable, "-m", "pellucid.cli.main", "check", "spec", "nowhere.yaml", "--debug"]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert "SpecError" in done.stderr


def test_interrupted_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from pellucid.cli import check

    def interrupted(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "run", interrupted)
    assert main(["check", "store"]) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "Interrupted.\n"


def test_an_import_that_ctrl_c_breaks_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pellucid.cli import check

    def half_imported(args: object) -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            raise ImportError("Unable to import required dependency numpy") from None
        return 0

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(check, "run", half_imported)
    assert main(["check", "store"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_bug_is_told_as_such_and_never_as_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pellucid.cli import check

    def broken(args: object) -> int:
        raise OSError(28, "No space left on device", "x.db") if args.id == "full" else KeyError("x")  # type: ignore[attr-defined]

    monkeypatch.setattr(check, "run", broken)
    assert main(["check", "env", "full"]) == 2
    assert capsys.readouterr().err.startswith("OSError: No space left on device: 'x.db'.\n  where: ")
    assert main(["check", "env", "bug"]) == 70
    error = capsys.readouterr().err
    assert error.startswith("KeyError: 'x'.")
    assert "--debug" in error
    assert "Traceback" not in error


def test_a_closed_pipe_is_no_error() -> None:
    code = "import sys; from pellucid.cli.main import main; sys.exit(main(['check', 'spec', '--schema']))"
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen([sys.executable, "-c", code], env=ENV, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        _, errors = process.communicate()
    assert errors == b""
    assert process.returncode == 141


def test_check_spec(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "spec", str(ROOT / "examples/stocks.yaml"), "--set", "data.source=planted"]) == 0
    assert "forecast (forecast), risk (volatility), trade (control)" in capsys.readouterr().out
    assert main(["check", "spec", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False
