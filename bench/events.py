"""Write the measured input: feature-flag events as NDJSON, one folder an hour, and the conversions of users.

usage: events.py ROWS FOLDER

FOLDER/events/year=.../month=.../day=.../hour=... holds ROWS events of ten days in time order, FOLDER/conversions one
conversion for every twenty events. All is computed from the row number, so the same ROWS give the same input. Of the
rows, 1 % repeat one of the forty before them, and 0.2 % each lack a valid time, a flag or a user.
"""

import pathlib
import shutil
import sys

import duckdb

DAYS = 10
USERS = 500_000
FLAGS = 40
MACROS = """
CREATE MACRO number(id, salt) AS hash(id * 31 + salt);
CREATE MACRO chance(id, salt) AS (number(id, salt) % 1000000) / 1000000.0;
CREATE MACRO pick(id, salt, choices) AS choices[1 + (number(id, salt) % len(choices))::BIGINT];
CREATE MACRO after(days) AS TIMESTAMP '2024-01-01' + to_microseconds((days * 86400e6)::BIGINT);
CREATE MACRO written(time) AS strftime(time, '%Y-%m-%dT%H:%M:%S.%f') || '+00:00';
"""


def events(rows: int) -> str:
    """The query of all events. `id` names the evaluation, `row` its line: they differ where a line repeats another."""
    return f"""
    WITH lines AS (
        SELECT range AS row,
            CASE WHEN range > 50 AND chance(range, 1) < 0.01 THEN range - 1 - (hash(range) % 40)::BIGINT ELSE range END AS id
        FROM range({rows})),
    evaluations AS (SELECT *, after(id::DOUBLE / {rows} * {DAYS}) AS time FROM lines)
    SELECT
        CASE WHEN chance(row, 2) < 0.002 THEN 'not-a-time' ELSE written(time) END AS "timestamp",
        CASE WHEN chance(row, 3) >= 0.002 THEN 'flag-' || number(id, 4) % {FLAGS} END AS flag_key,
        {{'key': CASE WHEN chance(row, 5) >= 0.002 THEN 'user-' || number(id, 6) % {USERS} END,
          'kind': 'user',
          'tier': pick(id, 7, ['free', 'premium', 'pro', NULL]),
          'country': pick(id, 8, ['US', 'DE', 'FR', 'IN', 'BR', 'CN', 'JP', NULL])}} AS evaluation_context,
        pick(id, 9, ['control', 'treatment', 'holdout']) AS flag_value,
        (number(id, 9) % 3)::INT AS variation_index,
        pick(id, 10, ['FALLTHROUGH', 'RULE_MATCH', 'TARGET_MATCH']) AS reason_kind,
        {{'source': 'launchdarkly-python-hook', 'version': '1.0'}} AS metadata,
        strftime(time, '%Y') AS year, strftime(time, '%m') AS month, strftime(time, '%d') AS day, strftime(time, '%H') AS hour
    FROM evaluations"""


def conversions(rows: int) -> str:
    """The query of all conversions: any user, any time of the ten days."""
    return f"""
    SELECT 'user-' || hash(range * 131) % {USERS} AS user_key, written(after(chance(range, 3) * {DAYS})) AS conversion_timestamp
    FROM range({rows} // 20)"""


def main() -> None:
    rows, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "conversions").mkdir(parents=True)
    connection = duckdb.connect()
    connection.execute("SET threads = 2; SET preserve_insertion_order = false")
    connection.execute(MACROS)
    connection.execute(f"""COPY ({events(rows)}) TO '{folder}/events'
        (FORMAT json, PARTITION_BY (year, month, day, hour), FILENAME_PATTERN 'events-{{i}}')""")
    connection.execute(f"COPY ({conversions(rows)}) TO '{folder}/conversions/conversions.json' (FORMAT json)")


if __name__ == "__main__":
    main()
