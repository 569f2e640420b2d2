"""`pellucid search`: try the settings that a spec names, and fit the best."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pellucid.cli.common import add_quiet, add_store, dump, new_file, open_store, reporting, show, then

EXAMPLE = """\
example:
  pellucid search loans.yaml
  pellucid search loans.yaml --set search.trials=64 --set search.sampler=cmaes
  pellucid search loans.yaml --resume               after Ctrl-C or a crash: trials that ended are kept
  pellucid search loans.yaml --no-fit --out best.yaml

the spec names what is tried:
  search:
    space:
      train.lr: {low: 1e-4, high: 1e-1, log: true}
      network.width: {choices: [64, 256]}
    trials: 32"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", help="a YAML file with a `search` section")
    parser.add_argument("--data", metavar="SOURCE", help="in place of the spec's source")
    parser.add_argument("--name", help="name of the program")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=v", help="override a value (repeatable)")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted search")
    parser.add_argument("--out", type=new_file, metavar="FILE", help="the chosen spec (default: NAME-best.yaml)")
    parser.add_argument("--no-fit", action="store_true", help="write the chosen spec and fit nothing")
    parser.add_argument("--because", default="", metavar="WHY", help="one line for the history")
    parser.add_argument("--json", action="store_true", help="print the search and the evidence as JSON")
    add_store(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    from pellucid.report.terminal import evidence_view, search_view
    from pellucid.runs.beginning import chosen_spec
    from pellucid.runs.searching import fit_chosen, forget, run_search, write_spec

    spec, source = chosen_spec(args.spec, args.data, None, None, args.name, tuple(args.set))
    store = open_store(args, create=True)
    out = Path(args.out or f"{spec.name}-best.yaml")
    with reporting(args.quiet) as reporter:
        done = run_search(spec, store, source=source, resume=args.resume, reporter=reporter)
        write_spec(done.spec, out)
        if args.no_fit:
            forget(store, spec.name)
        else:
            fitted = fit_chosen(done, store, source=source, because=args.because, resume=args.resume, reporter=reporter)
    told: dict[str, Any] = {"search": done.found, "spec": str(out)}
    if args.no_fit:
        if args.json:
            dump(told)
            return 0
        show(search_view(done.found))
        print(f"\n{out} is the chosen spec. {then(args, f'fit {out}')}")
        return 0
    evidence = {**fitted.evidence, "trials": store.trials(spec.name), "looks": store.looks(spec.name)}
    if args.json:
        dump({**told, "ref": fitted.ref, "evidence": evidence})
        return 0
    show(evidence_view({**evidence, **({} if args.quiet else {"notes": []})}))
    head = store.head(spec.name)
    step = f"explain {fitted.ref}" if fitted.accepted else f"diff {head.ref if head else spec.name} {fitted.ref}"
    state = f"the head of '{spec.name}'" if fitted.accepted else "a candidate"
    print(f"\n{fitted.ref} is {state}; its spec is {out}. {then(args, step)}")
    return 0
