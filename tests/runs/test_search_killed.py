"""`kill -9` in the middle of `pellucid search`, then `--resume`: the trials and the version of an uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pellucid.store.store import Store

SPEC = """
name: found
data: {kind: table, source: breast_cancer, target: target}
network: {width: 8, depth: 1}
train: {updates: 60, lr: 1e-5, batch: 64}
evidence: {folds: 2}
explain: {background: 8, evaluations: 40}
search: {space: {train.lr: {low: 1e-5, high: 1e-1, log: true}, train.batch: {choices: [32, 64]}}, trials: 12}
"""
SOURCE = str(Path(__file__).parents[2] / "src")
pytestmark = pytest.mark.slow  # several processes


def search(folder: Path, store: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pellucid.cli.main", "search", "s.yaml", "--store", store, "--json", "--quiet"]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, *more], cwd=folder, env={**os.environ, "PYTHONPATH": SOURCE}, stdout=pipe, stderr=pipe, text=True
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def test_killed_twice_and_resumed_it_is_the_uninterrupted_search(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SPEC)
    whole = json.loads(finished(search(tmp_path, "whole")))
    journal = tmp_path / "cut" / "searches" / "found.jsonl"
    for lines in (3, 7):  # killed when so many trials are there
        process = search(tmp_path, "cut", "--resume")
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < lines + 1):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert json.loads(finished(search(tmp_path, "cut", "--resume"))) == whole
    stores = [Store(tmp_path / name, create=False) for name in ("whole", "cut")]
    manifests = [store.resolve("found@1").manifest for store in stores]
    assert manifests[0] == manifests[1]
    assert [store.trials("found") for store in stores] == [13, 13]
    assert stores[1].verify().problems == ()
