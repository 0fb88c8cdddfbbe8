"""Put the reports of `measure.py` for both programs side by side; the last lines are for machines.

usage: summary.py OURS BY_HAND
"""

import json
import pathlib
import statistics
import sys


def runs(report: str) -> list[dict]:
    return [json.loads(line) for line in pathlib.Path(report).read_text().splitlines()]


def describe(name: str, figures: list[dict]) -> None:
    walls = [run["wall_seconds"] for run in figures]
    print(
        f"{name:8} {statistics.median(walls):6.2f} s ({min(walls):.2f} to {max(walls):.2f}),"
        f" {statistics.median(run['cpu_seconds'] for run in figures):6.2f} s of CPU,"
        f" {max(run['peak_mb'] for run in figures)} MB at most"
    )


def main() -> None:
    ours, by_hand = runs(sys.argv[1]), runs(sys.argv[2])
    describe("ours", ours)
    if by_hand:
        describe("by hand", by_hand)
        ratio = statistics.median(a["wall_seconds"] / b["wall_seconds"] for a, b in zip(ours, by_hand, strict=True))
        print(f"batch_seconds_ratio {ratio:.2f}")
    print(f"batch_peak_mb {max(run['peak_mb'] for run in ours)}")


if __name__ == "__main__":
    main()
