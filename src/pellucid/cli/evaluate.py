"""`pellucid evaluate`: a version's evidence, or its metrics on other rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pellucid.cli.common import add_store, dump, new_file, open_store, show, then

EXAMPLE = """\
example:
  pellucid evaluate stocks@1
  pellucid evaluate cancer@1 --data new_patients.csv
  pellucid evaluate stocks@1 --json
  pellucid evaluate lander@1 --markdown evidence.md"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="stocks@1, stocks~3f2a, or stocks for the head")
    parser.add_argument("--data", metavar="FILE", help="evaluate on these rows; the kept evidence is not touched")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--markdown", type=new_file, metavar="FILE", help="also write it as Markdown")
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.handle import LearnedProgram
    from pellucid.report.terminal import evidence_view

    program = LearnedProgram(open_store(args), args.version)
    if args.data is None:
        evidence: dict[str, Any] = program.evidence
    else:
        from pellucid.runs.judge import judge_elsewhere

        evidence = judge_elsewhere(program.store, program.entry, args.data)
    if args.markdown:
        from pellucid.report.markdown import evidence_comment
        from pellucid.store.files import write_atomic

        write_atomic(Path(args.markdown), evidence_comment(evidence).encode())
    if args.json:
        dump(evidence)
    else:
        show(evidence_view(evidence))
        print(f"\n{then(args, f'explain {program.ref}')}")
    return 0
