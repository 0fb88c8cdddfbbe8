"""Check that two lakes of the measured work agree, and say where they do not.

usage: compare.py OURS BY_HAND INPUT_ROWS

Silver, without duplicates and with all of its rows; every input row that is in neither silver nor quarantine repeats
another; the five gold tables row by row. Exits with 1 if anything differs.
"""

import sys

import polars as pl

GOLD = {
    "participation": ["flag_key", "flag_value"],
    "tier": ["flag_key", "user_tier"],
    "geo": ["flag_key", "user_country"],
    "daily": ["experiment_date", "flag_key", "flag_value"],
    "conversion": ["flag_key", "flag_value"],
}
SILVER = [
    "ts", "flag_key", "user_key", "context_kind", "user_tier", "user_country", "flag_value", "variation_index",
    "reason_kind", "event_date",
]  # fmt: skip


def count(table: str) -> int:
    return pl.scan_delta(table).select(pl.len()).collect().item()


def fingerprint(table: str) -> tuple:
    """Row count and order-free sums over hashes of whole rows."""
    rows = pl.scan_delta(table).select(pl.col("ts").dt.epoch("us"), *SILVER[1:]).collect(engine="streaming")
    hashes = rows.hash_rows(seed=1)
    return rows.height, (hashes % 2**32).sum(), (hashes // 2**32).sum()


def gold(table: str, key: list[str]) -> pl.DataFrame:
    """The rows in order of their key, numbers as they compare across writers."""
    rows = pl.read_delta(table).sort(key)
    numbers = [name for name, kind in rows.schema.items() if kind.is_integer()]
    return rows.with_columns(pl.col(numbers).cast(pl.Int64))


def main() -> None:
    ours, by_hand, input_rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
    differences = []

    def same(what: str, mine: object, theirs: object) -> None:
        if mine != theirs:
            differences.append(f"{what}: {mine} and {theirs}")

    same("rows of bronze", count(f"{ours}/bronze/events"), input_rows)
    same("rows of bronze by hand", count(f"{by_hand}/bronze/events"), input_rows)
    same("rows of silver", fingerprint(f"{ours}/silver/events"), fingerprint(f"{by_hand}/silver/events"))
    same("rows of quarantine", count(f"{ours}/quarantine/silver_events"), count(f"{by_hand}/quarantine/silver_events"))
    for name, key in GOLD.items():
        mine, theirs = gold(f"{ours}/gold/{name}", key), gold(f"{by_hand}/gold/{name}", key)
        if not mine.select(theirs.columns).equals(theirs):
            differences.append(f"gold {name}: {mine.height} and {theirs.height} rows, not the same")
    for difference in differences:
        print(difference, file=sys.stderr)
    silver = count(f"{ours}/silver/events")
    print(f"{silver} rows of silver and {len(GOLD)} gold tables: {'differ' if differences else 'agree'}", file=sys.stderr)
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
