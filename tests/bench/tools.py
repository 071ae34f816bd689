# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every comparison uses: commands, clocks, lines of the table, the instance and its removal."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "pgkeep-bench"
KEEPER = NAME + "-keeper"
# The bare server of the same image, and the restored copy of a drill by hand.
FLOOR = "pgkeep-bench-floor"
COPY = "pgkeep-bench-copy"
PORT = 15490
PGDATA = "/var/lib/postgresql/17/data"
SOCKET_DIR = f"/var/lib/pgkeep/{NAME}/run"
VOLUMES = ("data", "repo", "spool", "scratch", "dumps")

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SLICE = float(os.environ.get("BENCH_SLICE", "45"))
END = time.monotonic() + 60 * float(os.environ.get("BENCH_MINUTES", "30"))
# Longer than anything takes on a machine that works.
LONGEST = 1200.0

# GB of disk for each GB of the database: itself, two copies while it is restored, repository and WAL.
_DISK_SHARE = 4

INVENTORY = f"""
postgres:
  hosts:
    {NAME}:
      ansible_connection: local
      ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
      postgres_server_port: {PORT}
      postgres_server_memory: 1GB
      postgres_server_cpus: 2
      postgres_server_keeper_cpus: 2
      postgres_server_databases: [{{name: app, owner: app}}]
      postgres_server_users: [{{name: app}}]
      # Bare pg_dump does not encrypt, so it is not compared with something that does.
      postgres_backup_dumps: {{encrypt: false, keep_days: 0, keep_min: 1}}
"""


def sh(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LONGEST)
    if check and done.returncode:
        sys.exit(f"{' '.join(argv)} failed with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def play(inventory: Path, playbook: str, *words: str) -> str:
    return sh("ansible-playbook", "-i", str(inventory), str(ROOT / "playbooks" / playbook), *words)


def module(inventory: Path, name: str, arguments: str = "") -> str:
    """One module, as a task would run it: the start of Ansible is part of the time."""
    words = f"name={NAME} {arguments}".strip()
    return sh("ansible", NAME, "-i", str(inventory), "-m", f"pgkeep.postgres.{name}", "-a", words)


def keeper(*argv: str) -> str:
    return sh("docker", "exec", "--user", "999:999", KEEPER, *argv)


def psql(statement: str, database: str = "postgres") -> str:
    return sh("docker", "exec", NAME, "psql", "-XAtc", statement, database).strip()


def server_image() -> str:
    return str(json.loads(sh("docker", "inspect", NAME))[0]["Image"])


def headline() -> None:
    print(f"{'':<64} {'pgkeep':>10}  {'plain':>10}  {'ratio':>6}  aim")


def row(what: str, ours: float, plain: float | None = None, aim: str = "", unit: str = " s") -> None:
    ratio = f"{ours / plain:6.2f}" if plain else "      "
    base = f"{plain:8.2f}{unit}" if plain else " " * 10
    print(f"{what:<64} {ours:8.2f}{unit}  {base}  {ratio}  {aim}", flush=True)


def fact(what: str, value: object, aim: str = "") -> None:
    print(f"{what:<64} {value!s:>10}  {'':10}  {'':6}  {aim}".rstrip(), flush=True)


def take_turns(*actions: Callable[[], object]) -> list[float] | None:
    """The median seconds of each action; None when the time of the whole run is over."""
    began = time.monotonic()
    taken: list[list[float]] = []
    while len(taken) < ROUNDS and (not taken or time.monotonic() - began < SLICE):
        if time.monotonic() > END:
            break
        taken.append([seconds(action) for action in actions])
    return [statistics.median(column) for column in zip(*taken)] if taken else None


def compare(what: str, aim: str, ours: Callable[[], object], plain: Callable[[], object]) -> float | None:
    """One line; returns the seconds that ours took."""
    taken = take_turns(ours, plain)
    if taken is None:
        fact(what, "left out", "the time of the run is over; see BENCH_MINUTES")
        return None
    row(what, taken[0], taken[1], aim)
    return taken[0]


def until_writes(container: str, timeout: float = 120) -> None:
    """Poll from inside, as one process, so that the engine's own slowness is not measured many times."""
    question = "psql -XAtqc 'select 1 where not pg_is_in_recovery()' postgres 2>/dev/null"
    script = f"until {question} | grep -q 1; do sleep 0.02; done"
    end = time.monotonic() + timeout
    argv = ["docker", "exec", container, "sh", "-c", script]
    while subprocess.run(argv, capture_output=True, check=False, timeout=timeout).returncode:
        if time.monotonic() > end:
            sys.exit(f"{container} does not accept writes")


_HARDENING = ("--user", "999:999", "--tmpfs", "/tmp", "--tmpfs", "/var/run/postgresql:uid=999,gid=999")
_DATA = ("--volume", f"{FLOOR}:/var/lib/postgresql")


def init_floor(image_id: str) -> None:
    """An empty database in the volume of the bare server."""
    initdb = ["initdb", "-D", PGDATA, "-U", "postgres", "--data-checksums"]
    sh("docker", "run", "--rm", *_HARDENING, *_DATA, image_id, *initdb)


def start_floor(image_id: str, settings: Mapping[str, str], more: Sequence[str] = ()) -> None:
    """The bare server; more are arguments of docker run."""
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    argv = ["docker", "run", "--detach", "--name", FLOOR, *more, *_HARDENING, *_DATA, image_id]
    sh(*argv, "postgres", "-D", PGDATA, *options)
    until_writes(FLOOR)


def require_space(largest_gb: float) -> None:
    root = sh("docker", "info", "--format", "{{.DockerRootDir}}").strip()
    disk = os.statvfs(root)
    free, needed = disk.f_bavail * disk.f_frsize / 1e9, largest_gb * _DISK_SHARE + 3
    if free < needed:
        sys.exit(
            f"{root} has {free:.0f} GB free and {needed:.0f} GB are needed: free space, or name smaller BENCH_SIZES."
        )


def drop(containers: Sequence[str], volumes: Sequence[str]) -> None:
    sh("docker", "rm", "--force", *containers, check=False)
    sh("docker", "volume", "rm", "--force", *volumes, check=False)


def drop_floor() -> None:
    drop([FLOOR], [FLOOR])


def drop_copy() -> None:
    drop([COPY], [COPY])


def drop_instance() -> None:
    # A drill that was interrupted may have left its copy.
    volumes = [f"{NAME}-{volume}" for volume in VOLUMES]
    drop([NAME, KEEPER, f"{NAME}-drill"], [*volumes, f"{NAME}-drill"])
    sh("rm", "-rf", f"/etc/pgkeep/{NAME}", f"/var/lib/pgkeep/{NAME}")


def drop_all() -> None:
    for remove in (drop_instance, drop_floor, drop_copy):
        remove()


@contextlib.contextmanager
def cleaned() -> Iterator[Path]:
    """The inventory of the instance; before and after the block nothing of it is there, however the block ends."""
    drop_all()
    try:
        with tempfile.TemporaryDirectory() as folder:
            inventory = Path(folder) / "hosts.yml"
            inventory.write_text(INVENTORY)
            yield inventory
    finally:
        drop_all()
