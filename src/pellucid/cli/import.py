"""`pellucid import`: keep a policy that another library has trained as a version."""  # noqa: N999 - the command's name

from __future__ import annotations

import argparse

from pellucid.cli.common import add_quiet, add_store, dump, open_store, reporting, show, then

EXAMPLE = """\
example:
  pellucid import sb3 model.zip --env CartPole-v1
  pellucid import sb3 sac.zip --env Pendulum-v1 --vec-normalize vecnormalize.pkl

Stable-Baselines3's own loader reads these files. It unpickles, which can run code:
import only files that you trust.
What is stored then holds arrays and JSON only."""

SB3 = ("ppo", "a2c", "dqn", "sac")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="{sb3}")
    sb3 = kinds.add_parser("sb3", help="a zip that Stable-Baselines3 has saved", allow_abbrev=False)
    sb3.add_argument("model", help="the zip; its loader unpickles: only files that you trust")
    sb3.add_argument("--env", required=True, metavar="ID", help="the Gymnasium environment that it acts in")
    sb3.add_argument("--algorithm", choices=SB3, help="what saved it (default: told from the file)")
    sb3.add_argument("--vec-normalize", metavar="FILE", help="the VecNormalize that it was trained behind")
    sb3.add_argument("--name", help="name of the program")
    sb3.add_argument("--set", action="append", default=[], metavar="a.b=v", help="override a value of its spec")
    sb3.add_argument("--because", default="", metavar="WHY", help="one line for the history")
    sb3.add_argument("--json", action="store_true", help="print the evidence as JSON")
    add_store(sb3)
    add_quiet(sb3)


def run(args: argparse.Namespace) -> int:
    from pellucid.handle import LearnedProgram
    from pellucid.report.terminal import evidence_view
    from pellucid.runs.importing import import_sb3

    store = open_store(args, create=True)
    with reporting(args.quiet) as reporter:
        done = import_sb3(
            args.model,
            store,
            env=args.env,
            algorithm=args.algorithm,
            vec_normalize=args.vec_normalize,
            name=args.name,
            overrides=tuple(args.set),
            because=args.because,
            reporter=reporter,
        )
    program = LearnedProgram(store, done.ref)
    if args.json:
        dump({"ref": done.ref, "evidence": program.evidence})
        return 0
    show(evidence_view(program.evidence))
    if done.accepted:
        print(f"\n{done.ref} is the head of '{program.name}'. {then(args, f'explain {done.ref}')}")
    else:
        head = store.head(program.name)
        print(f"\n{done.ref} is a candidate. {then(args, f'diff {head.ref if head else program.name} {done.ref}')}")
    return 0
