"""`pellucid show`: one version or candidate in detail."""

from __future__ import annotations

import argparse

from pellucid.cli.common import add_store, dump, open_store, then

EXAMPLE = """\
example:
  pellucid show stocks@1
  pellucid show stocks~3f2a --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="stocks@1, stocks~3f2a, or stocks for the head")
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    store = open_store(args)
    entry = store.resolve(args.version)
    if args.json:
        dump({"ref": entry.ref, "sha": entry.sha, "state": entry.state, "parent": entry.parent, **entry.manifest})
        return 0
    described = store.blobs.get_json(entry.manifest["blobs"]["program"])
    touched = entry.manifest["parameters"]
    print(f"{entry.ref}  {entry.state}  {entry.kind}  sha256 {entry.sha[:16]}")
    print(f"  parent    {entry.parent or 'none: the best honest baseline'}")
    print(f"  by        {entry.author}, {entry.created}: {entry.because}")
    print(f"  tasks     {', '.join(t['name'] + ' (' + t['kind'] + ')' for t in described['tasks'])}")
    print(f"  inputs    {', '.join(f['name'] for f in described['schema']['inputs'])}")
    print(f"  trained   {touched['touched']:,} of {touched['total']:,} parameters ({touched['share']:.1%})")
    print(f"  deltas    {', '.join(d['kind'] for d in described['deltas']) or 'none'}")
    for key, value in entry.manifest["provenance"].items():
        if not isinstance(value, dict):
            print(f"  {key:<9} {value}")
    print(f"\n{then(args, f'evaluate {entry.ref}')}")
    return 0
