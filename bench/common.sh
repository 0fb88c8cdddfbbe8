# What the measurements share; sourced by `run`, `drain`, `delay` and `endure`.
#
# Everything made lies in the folder `bench` of the target folder: input, Python packages, lakes, brokers, and reports
# with a line for every run.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$here/../target}"
work="$CARGO_TARGET_DIR/bench"
python="$work/python/bin/python"
medallion="$CARGO_TARGET_DIR/release/medallion"

prepare_python() {
    mkdir -p "$work"
    [[ -e "$work/python/ready" ]] && cmp --silent "$here/requirements.txt" "$work/python/ready" && return
    echo "installing the Python packages of $here/requirements.txt" >&2
    python3 -m venv "$work/python"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$work/python/ready"
}

# Writes ROWS events once, below $work/landing-ROWS.
prepare_input() { # rows
    local landing="$work/landing-$1"
    [[ -e "$landing.ready" ]] && cmp --silent "$here/events.py" "$landing.ready" && return
    echo "generating $1 events" >&2
    "$python" "$here/events.py" "$1" "$landing"
    cp "$here/events.py" "$landing.ready"
}

# A copy, so that the run history starts empty and stays out of the repository.
prepare_project() { # folder of the project
    rm -rf "$work/project" "$work/lake"
    mkdir -p "$work/project"
    cp -r "$1/medallion.toml" "$1/pipelines" "$1/workflows" "$work/project/"
}

measure() { # report file, command ...
    "$python" "$here/measure.py" "$@"
}

# Starts a broker that is stopped when the script ends, and sets $brokers.
start_kafka() {
    local port=$(((RANDOM % 10000) + 20000))
    rm -rf "$work/kafka"
    "$here/../tests/kafka/serve" "$work/kafka" "$port" "$((port + 1))" &
    kafka=$!
    trap 'kill "$kafka" 2>/dev/null; wait "$kafka" 2>/dev/null || true' EXIT
    brokers="127.0.0.1:$port"
    "$python" "$here/produce.py" wait "$brokers"
}
