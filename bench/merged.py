"""Rows and changes for the measured merges, the same merges by the Delta library, and what came of both.

usage: merged.py rows COUNT FOLDER                the table, in Parquet files of a million rows
       merged.py changes SET COUNT ROWS FILE      changes for a table of ROWS rows
       merged.py library TABLE CHANGES REPORT     merges them by the library, and notes seconds and files
       merged.py ours TABLE REPORT                notes which files the newest commit replaced
       merged.py compare OURS LIBRARY             exits with 1 if the tables differ
       merged.py report NAME OURS LIBRARY         the figures of both; the last lines are for machines

SET is `recent` (the newest tenth of the keys, and new ones), `everywhere` (any key, and new ones) or `narrow` (keys that
lie side by side). One change in twenty deletes.
"""

import json
import pathlib
import sys
import time

import duckdb
import polars as pl
from deltalake import DeltaTable

A_MILLION = 1_000_000
START = 1_700_000_000_000_000
SEED = 7


def rows(ids: pl.Series, version: int, gone_every: int = 0) -> pl.DataFrame:
    hashed = ids.hash(seed=SEED + version)
    return pl.DataFrame({"id": ids, "hashed": hashed}).select(
        pl.col("id"),
        (pl.lit(START + version * 10**9) + pl.col("id")).cast(pl.Datetime("us", "UTC")).alias("updated_at"),
        pl.format("customer {}", pl.col("hashed") % 2_000_003).alias("customer"),
        (pl.col("hashed") % 199).cast(pl.String).alias("country"),
        ((pl.col("hashed") % 1_000_000).cast(pl.Float64) / 100).alias("amount"),
        pl.format("note {} of {}", pl.col("hashed") // 2**34, pl.col("id")).alias("note"),
        (pl.col("hashed") % gone_every == 0 if gone_every else pl.lit(False)).alias("gone"),
    )


def write_rows(count: int, folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, count, A_MILLION)):
        ids = pl.int_range(first, min(first + A_MILLION, count), eager=True)
        rows(ids, 0).write_parquet(folder / f"rows-{number:03}.parquet")


def write_changes(which: str, count: int, table_rows: int, file: pathlib.Path) -> None:
    match which:
        case "recent":
            ids = pl.int_range(table_rows * 9 // 10, table_rows + table_rows // 100, eager=True)
            ids = ids.sample(min(count, len(ids)), seed=SEED)
        case "everywhere":
            ids = pl.int_range(0, table_rows + table_rows // 100, eager=True)
            ids = ids.sample(min(count, len(ids)), seed=SEED)
        case _:
            ids = pl.int_range(table_rows // 3, table_rows // 3 + count, eager=True)
    version = ["recent", "everywhere", "narrow"].index(which) + 1
    rows(ids, version, gone_every=20).write_parquet(file)


def by_library(table: str, changes: str, report: str) -> None:
    source = pl.read_parquet(changes)
    target = DeltaTable(table)
    before = len(target.file_uris())
    begun = time.monotonic()
    merge = target.merge(source, "target.id = source.id", source_alias="source", target_alias="target")
    newer = "source.updated_at > target.updated_at"
    told = (
        merge.when_matched_delete(f"{newer} AND source.gone")
        .when_matched_update_all(f"{newer} AND NOT source.gone")
        .when_not_matched_insert_all("NOT source.gone")
        .execute()
    )
    seconds = round(time.monotonic() - begun, 2)
    note(report, {"merge_seconds": seconds, "files": told["num_target_files_removed"], "of": before})


def by_ours(table: str, report: str) -> None:
    log = sorted(pathlib.Path(table, "_delta_log").glob("*.json"))
    removed = sum('"remove"' in line[:12] for line in log[-1].read_text().splitlines())
    added = sum('"add"' in line[:12] for line in log[-1].read_text().splitlines())
    note(report, {"files": removed, "of": len(DeltaTable(table).file_uris()) - added + removed})


def note(report: str, figures: dict) -> None:
    with open(report, "a", encoding="utf-8") as file:
        file.write(json.dumps(figures) + "\n")


def fingerprint(table: str) -> tuple:
    """Row count and sums over the rows, without their order."""
    files = DeltaTable(table).file_uris()
    query = "SELECT count(*), sum(hash(id, updated_at, customer, country, amount, note) % 1000000007) FROM read_parquet(?)"
    return duckdb.execute(query, [files]).fetchone()


def compare(ours: str, library: str) -> None:
    found, expected = fingerprint(ours), fingerprint(library)
    if found != expected:
        sys.exit(f"the tables differ: ours {found}, by the library {expected}")


def report(name: str, ours: str, library: str) -> None:
    for who, file in [("ours", ours), ("library", library)]:
        lines = [json.loads(line) for line in pathlib.Path(file).read_text().splitlines()]
        told = {key: value for line in lines for key, value in line.items()}
        seconds = told.get("merge_seconds", told["wall_seconds"])
        print(f"merge_{name}_{who}_seconds {seconds:.2f}")
        print(f"merge_{name}_{who}_files {told['files']} of {told['of']}")
        print(f"merge_{name}_{who}_peak_mb {told['peak_mb']}")


def main() -> None:
    match sys.argv[1:]:
        case ["rows", count, folder]:
            write_rows(int(count), pathlib.Path(folder))
        case ["changes", which, count, table_rows, file]:
            write_changes(which, int(count), int(table_rows), pathlib.Path(file))
        case ["library", table, changes, report_file]:
            by_library(table, changes, report_file)
        case ["ours", table, report_file]:
            by_ours(table, report_file)
        case ["compare", ours, library]:
            compare(ours, library)
        case ["report", name, ours, library]:
            report(name, ours, library)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
