"""The delay from produced to visible in gold, seen from outside.

usage: delayed.py watch GOLD COUNT TIMES RESULT
       delayed.py report RESULT MEASURED

`watch` reads the Delta table GOLD (its column `count`) until it counts COUNT events, and compares with the times that
`produce.py rate` writes to TIMES at its end. Event k is visible at the end of the first reading that counts more than k
events: the order of becoming visible is taken to be that of producing, which errs by the skew between partitions.
"""

import array
import json
import os
import pathlib
import sys
import time

import polars
from deltalake import DeltaTable

EVERY = 0.02
PATIENCE = 180


def watch(gold: str, count: int, times: str, result: str) -> None:
    end = time.monotonic() + PATIENCE
    while not os.path.isdir(f"{gold}/_delta_log") or not os.listdir(f"{gold}/_delta_log"):
        if time.monotonic() > end:
            sys.exit(f"{gold} did not appear in {PATIENCE} s")
        time.sleep(EVERY)
    table, version, seen = DeltaTable(gold), -1, [(0.0, 0)]
    while seen[-1][1] < count and time.monotonic() < end:
        table.update_incremental()
        if table.version() != version:
            version = table.version()
            total = polars.read_parquet(table.file_uris(), columns=["count"])["count"].sum()
            seen.append((time.time() * 1000, total))
        time.sleep(EVERY)
    delays, event = [], 0
    produced = array.array("q")
    while len(produced) < count and time.monotonic() < end:
        time.sleep(EVERY)
        if os.path.exists(times) and os.path.getsize(times) == 8 * count:
            produced.frombytes(pathlib.Path(times).read_bytes())
    for moment, total in seen:
        while event < min(total, len(produced)):
            delays.append(moment - produced[event])
            event += 1
    outcome = {"events": count, "visible": seen[-1][1], "versions": len(seen) - 1, "delays": delays}
    pathlib.Path(result).write_text(json.dumps(outcome))


def report(result: str, measured: str) -> None:
    outcome = json.loads(pathlib.Path(result).read_text())
    used = json.loads(pathlib.Path(measured).read_text().splitlines()[-1])
    if outcome["visible"] != outcome["events"]:
        sys.exit(f"gold counts {outcome['visible']} events, {outcome['events']} were produced")
    delays = sorted(outcome["delays"])
    at = lambda share: delays[min(len(delays) - 1, int(share * len(delays)))]
    print(f"{outcome['versions']} versions of gold, at most {used['peak_mb']} MB, exit code {used['exit_code']}")
    print(f"stream_p50_ms {at(0.50):.0f}")
    print(f"stream_p99_ms {at(0.99):.0f}")
    print(f"stream_cores {used['cpu_seconds'] / used['wall_seconds']:.2f}")


def main() -> None:
    match sys.argv[1:]:
        case ["watch", gold, count, times, result]:
            watch(gold, int(count), times, result)
        case ["report", result, measured]:
            report(result, measured)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
