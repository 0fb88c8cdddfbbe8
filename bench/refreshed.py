"""Sum up what `refresh` measured: a line for each table, and the ratio of all of them together.

usage: refreshed.py REFRESHES FULL_REFRESHES EVENTS

The first two are reports of measure.py with a line for each round; EVENTS are the rows of system.events. The ratio is that of
whole commands, start of the process and all five tables included.
"""

import json
import pathlib
import statistics
import sys


def median_of(report: str, key: str) -> float:
    lines = pathlib.Path(report).read_text(encoding="utf-8").splitlines()
    return statistics.median(json.loads(line)[key] for line in lines)


def main() -> None:
    refreshes, full_refreshes, events = sys.argv[1:4]
    by_table: dict[str, list[dict]] = {}
    for event in json.loads(pathlib.Path(events).read_text(encoding="utf-8")):
        by_table.setdefault(event["table"], []).append(event)
    for table, told in by_table.items():
        # The first version made the table; then a refresh and a full one take turns.
        narrow, full = told[1::2], told[2::2]
        took = statistics.median(event["milliseconds"] for event in narrow)
        full_took = statistics.median(event["milliseconds"] for event in full)
        ways = ", ".join(sorted({event["action"] for event in narrow}))
        print(f"{table}: {took:.0f} ms by {ways}, in full {full_took:.0f} ms, ratio {took / full_took:.3f}")
    took, full_took = median_of(refreshes, "wall_seconds"), median_of(full_refreshes, "wall_seconds")
    print(f"all five: {took:.2f} s, in full {full_took:.2f} s; peak {median_of(full_refreshes, 'peak_mb'):.0f} MB")
    print(f"incremental_ratio {took / full_took:.3f}")


if __name__ == "__main__":
    main()
