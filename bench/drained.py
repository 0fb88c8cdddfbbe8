"""Put the reports of `measure.py` for the drain and the bare consumer side by side; the last lines are for machines.

usage: drained.py OURS BARE TABLE MESSAGES

TABLE is the bronze table of the last run: every message has to be in it once.
"""

import statistics
import sys

import duckdb
from deltalake import DeltaTable

from summary import describe, runs


def check(table: str, messages: int) -> None:
    files = DeltaTable(table).file_uris()
    query = "SELECT count(*), count(DISTINCT (_source, _position)) FROM read_parquet(?, union_by_name = true)"
    rows, different = duckdb.execute(query, [files]).fetchone()
    if (rows, different) != (messages, messages):
        sys.exit(f"{table} holds {rows} rows of {different} messages, {messages} were produced")


def main() -> None:
    ours, bare, messages = runs(sys.argv[1]), runs(sys.argv[2]), int(sys.argv[4])
    check(sys.argv[3], messages)
    describe("ours", ours)
    describe("bare", bare)
    for name, figures in (("ours", ours), ("bare", bare)):
        seconds = statistics.median(run["wall_seconds"] for run in figures)
        print(f"{name:8} {messages / seconds:,.0f} messages a second")
    ratio = statistics.median(b["wall_seconds"] / a["wall_seconds"] for a, b in zip(ours, bare, strict=True))
    print(f"kafka_drain_ratio {ratio:.2f}")
    print(f"kafka_peak_mb {max(run['peak_mb'] for run in ours)}")


if __name__ == "__main__":
    main()
