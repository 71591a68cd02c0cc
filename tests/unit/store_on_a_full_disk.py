"""Run by `store_on_a_full_disk.sh`: writes until the disk is full, and sees that whole grades are there."""

from __future__ import annotations

import sys

from graders.faults import InfraFault
from graders.store import open_store
from tests.unit.store_grades import LEARNERS, enrol_all, grade


def main(place: str) -> None:
    kept = 0
    with open_store(place) as store:
        enrol_all(store)
        try:
            while kept < 10_000:
                store.save(grade(LEARNERS[kept % len(LEARNERS)], name=str(kept)))
                kept += 1
        except InfraFault as fault:
            print(fault)
        there = store.grades()
        for each in there:
            assert store.report(each.id)["verdict"] == "graded"
        assert len(there) == kept, (len(there), kept)
    print("whole grades, as many as were told to be kept")


if __name__ == "__main__":
    main(sys.argv[1])
