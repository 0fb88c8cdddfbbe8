"""The measured work as one would write it by hand, with Polars and delta-rs.

usage: by_hand.py LANDING LAKE

Nothing here is incremental or recoverable: it reads everything, holds it in memory and writes the tables.
"""

import pathlib
import shutil
import sys
import time

import polars as pl

TIME = "%Y-%m-%dT%H:%M:%S%.f%:z"
TEXT = pl.String
SCHEMA = {
    "timestamp": TEXT,
    "flag_key": TEXT,
    "evaluation_context": pl.Struct({"key": TEXT, "kind": TEXT, "tier": TEXT, "country": TEXT}),
    "flag_value": TEXT,
    "variation_index": pl.Int32,
    "reason_kind": TEXT,
    "metadata": pl.Struct({"source": TEXT, "version": TEXT}),
}


def bronze(landing: pathlib.Path, lake: str) -> None:
    """Every line as it is, with the parts of its path, its file and the time of reading."""
    files = sorted((landing / "events").rglob("*.json"))
    parts = [
        pl.col("_source").str.extract(f"{name}=([^/]*)/").alias(name) for name in ("year", "month", "day", "hour")
    ]
    pl.scan_ndjson(files, schema=SCHEMA, include_file_paths="_source").with_columns(
        *parts, pl.lit(time.time()).alias("_ingested_at")
    ).collect(engine="streaming").write_delta(f"{lake}/bronze/events", mode="append")
    pl.read_ndjson(landing / "conversions" / "conversions.json").write_delta(f"{lake}/bronze/conversions", mode="append")


def silver(lake: str) -> None:
    """Typed, checked with a quarantine, each evaluation once, partitioned by date."""
    context = pl.col("evaluation_context").struct
    typed = pl.scan_delta(f"{lake}/bronze/events").select(
        pl.col("timestamp").str.to_datetime(TIME, strict=False, time_unit="us").alias("ts"),
        "flag_key",
        context.field("key").alias("user_key"),
        context.field("kind").alias("context_kind"),
        context.field("tier").alias("user_tier"),
        context.field("country").alias("user_country"),
        "flag_value",
        "variation_index",
        "reason_kind",
    ).with_columns(pl.col("ts").dt.date().alias("event_date"))
    valid = pl.all_horizontal(pl.col("ts", "flag_key", "user_key").is_not_null())
    typed.filter(valid).unique(["ts", "flag_key", "user_key"], keep="any").collect(engine="streaming").write_delta(
        f"{lake}/silver/events", mode="append", delta_write_options={"partition_by": ["event_date"]}
    )
    typed.filter(~valid).collect(engine="streaming").write_delta(f"{lake}/quarantine/silver_events", mode="append")


def gold(lake: str) -> None:
    """The five tables of aggregates."""
    events = pl.scan_delta(f"{lake}/silver/events")
    last_conversions = (
        pl.scan_delta(f"{lake}/bronze/conversions")
        .group_by("user_key")
        .agg(pl.col("conversion_timestamp").str.to_datetime(TIME, time_unit="us").max().alias("last_conversion"))
    )
    converted = pl.col("last_conversion") >= pl.col("ts")
    rate = pl.col("conversions") * 100.0 / pl.col("participants")
    tables = {
        "participation": events.group_by("flag_key", "flag_value").agg(
            pl.len().alias("participant_count"), pl.col("user_key").n_unique().alias("unique_users")
        ),
        "tier": events.filter(pl.col("user_tier").is_not_null())
        .group_by("flag_key", "user_tier")
        .agg(pl.len().alias("count")),
        "geo": events.filter(pl.col("user_country").is_not_null())
        .group_by("flag_key", "user_country")
        .agg(pl.len().alias("participant_count")),
        "daily": events.group_by(pl.col("event_date").alias("experiment_date"), "flag_key", "flag_value").agg(
            pl.len().alias("daily_participants")
        ),
        "conversion": events.group_by("flag_key", "flag_value", "user_key")
        .agg(pl.col("ts").min())
        .join(last_conversions, on="user_key", how="left")
        .group_by("flag_key", "flag_value")
        .agg(pl.len().alias("participants"), converted.sum().alias("conversions"))
        .with_columns(rate.round(2, mode="half_away_from_zero").alias("conversion_rate")),
    }
    for name, rows in tables.items():
        rows.collect(engine="streaming").write_delta(f"{lake}/gold/{name}", mode="overwrite")


def main() -> None:
    landing, lake = pathlib.Path(sys.argv[1]), sys.argv[2]
    shutil.rmtree(lake, ignore_errors=True)
    for name, step in (
        ("bronze", lambda: bronze(landing, lake)),
        ("silver", lambda: silver(lake)),
        ("gold", lambda: gold(lake)),
    ):
        start = time.time()
        step()
        print(f"{name} {time.time() - start:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
