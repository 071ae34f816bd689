# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup, drill, restore and dump beside the same work by hand, on databases of several sizes."""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import by_hand
from .tools import END, LONGEST, NAME, SOCKET_DIR, compare, fact, keeper, module, psql, row, sh, take_turns

# GB of the database, from small to large.
SIZES = sorted(float(size) for size in os.environ.get("BENCH_SIZES", "1,2,5").split(","))

# pgbench's scale of about one GB.
_SCALE = 68
_CANARIES = 5


class Watcher:
    """Logs in over and over while the block runs; longest is the longest time in which nobody could write."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(LONGEST)

    def _watch(self) -> None:
        worked = time.monotonic()
        seen = True
        # On to the first success after the end: the block may end before the server is seen again.
        while not (self._over.is_set() and seen) and time.monotonic() - worked < LONGEST:
            seen = _writes()
            if seen:
                now = time.monotonic()
                self.longest = max(self.longest, now - worked)
                worked = now
            time.sleep(0.02)


def _writes() -> bool:
    import psycopg2

    try:
        opened = psycopg2.connect(host=SOCKET_DIR, user="postgres", dbname="postgres", connect_timeout=2)
    except psycopg2.OperationalError:
        return False
    try:
        with opened.cursor() as cursor:
            cursor.execute("select pg_is_in_recovery()")
            return cursor.fetchone() == (False,)
    except psycopg2.Error:
        return False
    finally:
        opened.close()


def _watched(action: Callable[[], object], gaps: list[float]) -> None:
    with Watcher() as watcher:
        action()
    gaps.append(watcher.longest)


def _fill(size: float) -> int:
    """Make the database about so many GB large; returns its bytes."""
    sh("docker", "exec", NAME, "pgbench", "-i", "-q", "-s", str(max(1, round(size * _SCALE))), "app")
    psql("checkpoint")
    return int(psql("select sum(pg_database_size(oid)) from pg_database"))


def _touch() -> None:
    """Change the counters of the largest table, so that the next backup counts its rows again."""
    psql(
        "begin; delete from pgbench_accounts where aid = 1; insert into pgbench_accounts values (1, 1, 0, ''); commit",
        "app",
    )


def _backups(size: float) -> float | None:
    def full() -> None:
        keeper("pgkeep", "backup", "--type", "full")

    def by_hand_and_touch() -> None:
        by_hand.backup()
        _touch()

    # The first of each turn finds a table that was written to, the second one that was not.
    taken = take_turns(full, full, by_hand_and_touch)
    if taken is None:
        fact(f"{size:g} GB: backup", "left out", "the time of the run is over; see BENCH_MINUTES")
        return None
    row(f"{size:g} GB: full backup, every row counted / pgbackrest backup", taken[0], taken[2], "<= 1.10")
    row(f"{size:g} GB: full backup, nothing inserted or deleted since / same", taken[1], taken[2], "<= 1.10")
    newest = json.loads(keeper("pgkeep", "info"))["backup_info"]["backups"][-1]
    fact(f"{size:g} GB: size of the backup in the repository", f"{newest['repository_bytes'] / 1e6:.0f} MB")
    return taken[0]


def _drills(size: float, inventory: Path) -> dict[str, float | None]:
    """Three ways in turn, so that the one by hand is made once for both comparisons."""
    taken = take_turns(lambda: module(inventory, "drill"), lambda: keeper("pgkeep", "drill"), by_hand.drill)
    names = ("drill on the host", "drill in the keeper")
    if taken is None:
        fact(f"{size:g} GB: drill", "left out", "the time of the run is over; see BENCH_MINUTES")
        return dict.fromkeys(names)
    for name, ours in zip(names, taken):
        row(f"{size:g} GB: {name} / restore, amcheck, count", ours, taken[2], "<= 1.2")
    last = json.loads(keeper("pgkeep", "drills", "--last", "1"))["drills"][0]
    fact(f"{size:g} GB: the drill's RTO", f"{last['rto_seconds']:.2f} s")
    return dict(zip(names, taken))


def _restores(size: float, inventory: Path) -> float | None:
    ours: list[float] = []
    plain: list[float] = []
    taken = compare(
        f"{size:g} GB: restore of the newest backup / by hand",
        "<= 1.15",
        lambda: _watched(lambda: module(inventory, "restore", f"confirm={NAME} keep_previous=0"), ours),
        lambda: _watched(by_hand.restore, plain),
    )
    if ours and plain:
        row(f"{size:g} GB: nobody could write during the restore", statistics.median(ours), statistics.median(plain))
    return taken


def _dumps(size: float) -> float | None:
    taken = take_turns(lambda: keeper("pgkeep", "dump", "--database", "app"), by_hand.bare_dump, by_hand.dump)
    by_hand.remove_dump()
    if taken is None:
        fact(f"{size:g} GB: dump", "left out", "the time of the run is over; see BENCH_MINUTES")
        return None
    row(f"{size:g} GB: dump / bare pg_dump", taken[0], taken[1])
    row(f"{size:g} GB: dump / pg_dump, sync, sha256sum, list", taken[0], taken[2], "<= 1.10")
    stored = keeper("sh", "-c", "du -sb /var/lib/pgkeep-dumps").split()[0]
    fact(f"{size:g} GB: size of the dumps that are kept", f"{int(stored) / 1e6:.0f} MB")
    return taken[0]


def _archiving() -> None:
    waits = [json.loads(keeper("pgkeep", "canary"))["canary"]["archived_seconds"] for _turn in range(_CANARIES)]
    text = f"{statistics.median(waits):.2f} s"
    fact("archiving: from a commit to the repository", text, f"longest of {_CANARIES}: {max(waits):.2f} s")


def _ansible(inventory: Path) -> None:
    """Part of every drill on the host and of every restore, whatever the size, and of nothing by hand."""
    began = time.monotonic()
    sh("ansible", NAME, "-i", str(inventory), "-m", "ansible.builtin.ping")
    fact("start of Ansible, part of what a module takes", f"{time.monotonic() - began:.2f} s")


def _growth(times: dict[str, dict[float, float | None]], bytes_of: dict[float, int]) -> None:
    """Seconds for each GB that was added between one size and the next: flat when the time grows with the size."""
    for what, by_size in times.items():
        points = [(bytes_of[size] / 1e9, taken) for size, taken in by_size.items() if taken is not None]
        steps = [
            f"{small:.1f} to {large:.1f} GB: {(after - before) / (large - small):.2f} s a GB"
            for (small, before), (large, after) in zip(points, points[1:])
        ]
        if steps:
            print(f"{'growth of ' + what:<64} {'; '.join(steps)}", flush=True)


def measure(inventory: Path) -> None:
    _archiving()
    _ansible(inventory)
    times: dict[str, dict[float, float | None]] = {}
    bytes_of: dict[float, int] = {}
    for size in SIZES:
        if time.monotonic() > END:
            fact(f"{size:g} GB", "left out", "the time of the run is over; see BENCH_MINUTES")
            continue
        bytes_of[size] = _fill(size)
        fact(f"{size:g} GB: size of the databases", f"{bytes_of[size] / 1e6:.0f} MB")
        found = {
            "backup": _backups(size),
            **_drills(size, inventory),
            "dump": _dumps(size),
            "restore": _restores(size, inventory),
        }
        for what, taken in found.items():
            times.setdefault(what, {})[size] = taken
    _growth(times, bytes_of)
