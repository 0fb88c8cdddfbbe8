"""Whether a stream holds out, seen from outside: its lag, its memory, and the files of its tables over time.

usage: endured.py watch METRICS LAKE COUNT SECONDS RESULT
       endured.py report RESULT

`watch` asks METRICS, an address, every five seconds, and counts the files of the tables below LAKE twice a minute, until
SECONDS are over and gold counts COUNT events.
"""

import json
import pathlib
import re
import sys
import time
import urllib.request

import polars
from deltalake import DeltaTable

EVERY = 5
FILES_EVERY = 30
PATIENCE = 120
TABLES = ["bronze/events", "silver/events", "gold/counts"]


def metrics(address: str) -> dict[str, float]:
    with urllib.request.urlopen(address, timeout=10) as answer:
        text = answer.read().decode()
    total = lambda name: sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))
    return {"lag": total("medallion_lag_rows"), "mb": total("process_resident_memory_bytes") / 1e6}


def files(lake: str) -> dict[str, int]:
    exist = [table for table in TABLES if pathlib.Path(lake, table, "_delta_log").exists()]
    return {table: len(DeltaTable(f"{lake}/{table}").file_uris()) for table in exist}


def counted(lake: str) -> int:
    table = DeltaTable(f"{lake}/gold/counts")
    return polars.read_parquet(table.file_uris(), columns=["count"])["count"].sum()


def watch(address: str, lake: str, count: int, seconds: int, result: str) -> None:
    begun, samples, counts, visible = time.monotonic(), [], [], 0
    while visible < count and time.monotonic() < begun + seconds + PATIENCE:
        time.sleep(EVERY)
        passed = time.monotonic() - begun
        try:
            samples.append({"at": passed, **metrics(address)})
        except OSError:
            continue
        if passed >= FILES_EVERY * (len(counts) + 1):
            counts.append(files(lake))
        if passed >= seconds:
            visible = counted(lake)
    outcome = {"events": count, "visible": visible, "samples": samples, "files": counts}
    pathlib.Path(result).write_text(json.dumps(outcome))


def report(result: str) -> None:
    outcome = json.loads(pathlib.Path(result).read_text())
    if outcome["visible"] != outcome["events"]:
        sys.exit(f"gold counts {outcome['visible']} events, {outcome['events']} were produced")
    samples = outcome["samples"]
    end = samples[-1]["at"]
    early = [sample for sample in samples if 60 <= sample["at"] < 120]
    late = [sample for sample in samples if end - 75 <= sample["at"] < end - 15]
    for name in ["lag", "mb"]:
        most = [max(sample[name] for sample in part) for part in (early, late)]
        print(f"endure_{name}_early {most[0]:.0f}\nendure_{name}_late {most[1]:.0f}")
    for table in TABLES:
        print(f"{table}: at most {max(count.get(table, 0) for count in outcome['files'])} files")


def main() -> None:
    match sys.argv[1:]:
        case ["watch", address, lake, count, seconds, result]:
            watch(address, lake, int(count), int(seconds), result)
        case ["report", result]:
            report(result)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
