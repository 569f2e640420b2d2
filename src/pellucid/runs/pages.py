"""The report page of a version: gathers what the store holds and hands it to `pellucid.report`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pellucid.core.schema import Schema
from pellucid.report.card import model_card
from pellucid.report.html import program_report
from pellucid.runs.artefact import load_program, load_spec
from pellucid.runs.diffing import diff_versions
from pellucid.runs.dividing import way
from pellucid.runs.episodes import reported
from pellucid.runs.explaining import explain
from pellucid.runs.film import film
from pellucid.runs.history import history
from pellucid.runs.progress import Reporter
from pellucid.runs.said import about
from pellucid.spec.model import TableData
from pellucid.store.records import Entry
from pellucid.store.store import Store

SECRET = re.compile(r"(://[^:/@]+):[^@]*@")  # a password in a URL


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
    """One page: evidence, curves, an episode filmed and explained, explanations, correction, diff, history."""
    entry = store.resolve(ref)
    evidence = store.blobs.get_json(entry.manifest["blobs"]["evidence"])
    evidence |= {"trials": store.trials(entry.name), "looks": store.looks(entry.name)}
    base = against or entry.parent
    if against is not None:
        store.resolve(against)  # before anything is computed
    explained = explain(store, ref, at=at, source=source, reporter=reporter)
    program = load_program(store, entry)
    episodes = reported(store, ref, program, source)
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
            "episodes": episodes,
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


def card(store: Store, ref: str) -> str:
    """The model card of a version in Markdown, from what the store holds: nothing is computed or read anew."""
    entry = store.resolve(ref)
    blobs = entry.manifest["blobs"]
    described = store.blobs.get_json(blobs["program"])
    evidence = store.blobs.get_json(blobs["evidence"])
    evidence |= {"trials": store.trials(entry.name), "looks": store.looks(entry.name)}
    schema, spec = Schema.from_json(described["schema"]), load_spec(store, entry)
    rows = spec.data is not None
    return model_card(
        {
            "version": entry.ref,
            "state": entry.state,
            "evidence": evidence,
            "tasks": [
                {key: raw[key] for key in ("name", "kind", "inputs", "outputs", "unit")} for raw in described["tasks"]
            ],
            "inputs": [
                {"name": f.name, "kind": f.kind, "unit": f.unit, "description": f.description} for f in schema.inputs
            ],
            "data": {
                "source": SECRET.sub(r"\1:***@", spec.data.source) if spec.data is not None else "",
                "split": (way(spec) if isinstance(spec.data, TableData) else "walk forward") if rows else "",
                "folds": max((len(task["folds"]) for task in evidence["tasks"]), default=0),
                "sensitive": list(getattr(spec.data, "sensitive", [])),
            },
            "provenance": entry.manifest["provenance"],
            "history": history(store, entry.name),
        }
    )
