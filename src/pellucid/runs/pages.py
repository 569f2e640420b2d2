"""The report page of a version: gathers what the store holds and hands it to `pellucid.report`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.core.schema import Schema
from pellucid.report.html import program_report
from pellucid.runs.artefact import load_program
from pellucid.runs.diffing import diff_versions
from pellucid.runs.explaining import explain
from pellucid.runs.film import film
from pellucid.runs.history import history
from pellucid.runs.progress import Reporter
from pellucid.runs.said import about
from pellucid.store.records import Entry
from pellucid.store.store import Store


def described_inputs(store: Store, entry: Entry) -> dict[str, str]:
    """What each field of a version's schema is, where the schema says so."""
    schema = Schema.from_json(store.blobs.get_json(entry.manifest["blobs"]["program"])["schema"])
    told = {}
    for field in schema.inputs:
        unit = f" ({field.unit})" if field.unit and field.unit not in field.description else ""
        if field.description or unit:
            told[field.name] = f"{field.description}{unit}".strip()
    return told


def report(
    store: Store,
    ref: str,
    *,
    at: Sequence[str] = (),
    against: str | None = None,
    source: Any = None,
    reporter: Reporter | None = None,
) -> str:
    """One self-contained page: evidence, learning curves, a filmed episode, explanations, correction, diff, history."""
    entry = store.resolve(ref)
    evidence = store.blobs.get_json(entry.manifest["blobs"]["evidence"])
    evidence |= {"trials": store.trials(entry.name), "looks": store.looks(entry.name)}
    base = against or entry.parent
    explained = explain(store, ref, at=at, source=source, reporter=reporter)
    program = load_program(store, entry)
    films = [film(program, task) for task in program.tasks.values()]
    provenance = entry.manifest["provenance"]
    used = set(entry.manifest.get("feedback", []))
    return program_report(
        {
            "program": entry.name,
            "version": entry.ref,
            "facts": {
                "Data": f"sha256 {provenance['data_sha'][:12] or 'none'}",
                "Pellucid": provenance["pellucid"],
                "Torch": provenance["torch"],
            },
            "evidence": evidence,
            "wealth": evidence["wealth"],
            "films": [found for found in films if found is not None],
            "explanations": [found.to_json() for found in explained.values()],
            "inputs": described_inputs(store, entry),
            "corrections": [
                {
                    "kind": record.kind,
                    "target": str(record.payload.get("field") or about(record.kind, record.payload)),
                    "scope": "all rows",
                    "who": record.author,
                    "when": record.created,
                    "reason": record.because,
                }
                for record in store.feedback(entry.name)
                if record.id in used
            ],
            "diff": diff_versions(store, base, ref, record=False) if base else None,
            "history": history(store, entry.name),
        }
    )
