"""Run a command and report its wall time, CPU time and peak memory as one line of JSON.

usage: measure.py REPORT COMMAND ARGUMENTS...

The memory is the resident size of the command and all processes below it, summed, at its highest; the sum is taken
every 50 ms, and each process's own high-water mark counts where it is higher than what the samples saw of it alone.
The line is appended to REPORT. The exit code is the command's. SIGTERM is handed on to the command.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY = 0.05


def resident(root: int) -> tuple[int, int]:
    """Bytes that the processes from `root` down hold now, and the most that `root` ever held."""
    children: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = pathlib.Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry))
        pages[int(entry)] = int(fields[21])
    total, pending = 0, [root]
    while pending:
        process = pending.pop()
        total += pages.get(process, 0) * PAGE
        pending += children.get(process, [])
    return total, high_water(root)


def high_water(process: int) -> int:
    """The most bytes the process ever held, as the kernel counts them."""
    try:
        status = pathlib.Path("/proc", str(process), "status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


class Sampler(threading.Thread):
    """Watches the memory beside the wait for the end, so that the end is noticed at once."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process, self.peak, self.done = process, 0, threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            self.peak = max(self.peak, *resident(self.process))
            self.done.wait(EVERY)


def main() -> None:
    report, command = sys.argv[1], sys.argv[2:]
    start = time.monotonic()
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    sampler = Sampler(process.pid)
    sampler.start()
    process.wait()
    wall = time.monotonic() - start
    sampler.done.set()
    sampler.join()
    used = os.times()
    figures = {
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(used.children_user + used.children_system, 2),
        "peak_mb": round(sampler.peak / 1e6),
        "exit_code": process.returncode,
    }
    with open(report, "a", encoding="utf-8") as file:
        file.write(json.dumps(figures) + "\n")
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
