"""Where a class's grades are kept: nothing is lost, and every change says who made it and why.

SQLite in a file, or PostgreSQL by URL. A grade is one transaction: its report, the keys of what it depends
on, where its bundle lies and that bundle's digest. It neither grades nor judges.
"""

from graders.store.opening import open_store
from graders.store.records import (
    Event,
    HistoryEntry,
    NewGrade,
    OverrideEntry,
    StoredGrade,
)
from graders.store.store import GradeStore

__all__ = [
    "Event",
    "GradeStore",
    "HistoryEntry",
    "NewGrade",
    "OverrideEntry",
    "StoredGrade",
    "open_store",
]
