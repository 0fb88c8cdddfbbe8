"""Write the measured silver rows as Parquet, and parts of one per cent that come later.

usage: rows.py ROWS PARTS FOLDER

FOLDER/events holds ROWS evaluations of ten days, FOLDER/conversions one conversion for every twenty, FOLDER/later/1 and so on
ROWS / 100 more evaluations each, all of the last day. All is computed from the row number, as in events.py.
"""

import pathlib
import shutil
import sys

import duckdb

from events import DAYS, FLAGS, MACROS, USERS

FILES = 8


def evaluations(first: int, rows: int, time: str) -> str:
    """The query of `rows` evaluations from the number `first` on."""
    return f"""
    SELECT
        {time} AS ts,
        'flag-' || number(id, 4) % {FLAGS} AS flag_key,
        'user-' || number(id, 6) % {USERS} AS user_key,
        pick(id, 7, ['free', 'premium', 'pro', NULL]) AS user_tier,
        pick(id, 8, ['US', 'DE', 'FR', 'IN', 'BR', 'CN', 'JP', NULL]) AS user_country,
        pick(id, 9, ['control', 'treatment', 'holdout']) AS flag_value
    FROM (SELECT range AS id FROM range({first}, {first + rows}))"""


def main() -> None:
    rows, parts, folder = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
    shutil.rmtree(folder, ignore_errors=True)
    connection = duckdb.connect()
    connection.execute("SET threads = 2; SET preserve_insertion_order = false")
    connection.execute(MACROS)

    def write(query: str, file: str) -> None:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        connection.execute(f"COPY ({query}) TO '{folder / file}' (FORMAT parquet)")

    share = rows // FILES
    for file in range(FILES):
        write(evaluations(file * share, share, f"after(id::DOUBLE / {rows} * {DAYS})"), f"events/{file}.parquet")
    for part in range(parts):
        new = rows // 100
        last_day = f"after({DAYS - 1} + chance(id, 11))"
        write(evaluations(rows + part * new, new, last_day), f"later/{part + 1}/later-{part + 1}.parquet")
    write(
        f"SELECT 'user-' || hash(range * 131) % {USERS} AS user_key, written(after(chance(range, 3) * {DAYS})) AS "
        f"conversion_timestamp FROM range({rows} // 20)",
        "conversions/conversions.parquet",
    )


if __name__ == "__main__":
    main()
