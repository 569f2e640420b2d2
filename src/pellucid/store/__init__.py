"""Store: versions, lineage, history, feedback, review sets and blobs in `.pellucid/`."""

from pellucid.store.blobs import Blobs
from pellucid.store.check import Problem, Report
from pellucid.store.files import write_atomic
from pellucid.store.records import Entry, Event, FeedbackRecord, default_author, program_name
from pellucid.store.store import Store

__all__ = [
    "Blobs",
    "Entry",
    "Event",
    "FeedbackRecord",
    "Problem",
    "Report",
    "Store",
    "default_author",
    "program_name",
    "write_atomic",
]
