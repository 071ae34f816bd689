# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a drill as a process of the keeper, below its scratch volume. Private to the collection.

It is made by the entrypoint of the image, as a lost volume would be restored, with folders of its own for everything
that the entrypoint, pgBackRest and PostgreSQL write.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Optional, Sequence

from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._files import File, write
from ._layout import CONFIG_MOUNT, DRILL_LOCK, SCRATCH_MOUNT
from ._run import Result, run
from ._sandbox import Recovery, access_settings, write_access
from ._throwaway import ALONE, LOG_LINES, require_space, wait_open
from ._units import MB, postgres_size

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_DEFAULT_MEMORY = 512 * MB
# A cgroup of version 1 without a limit says about 2^63.
_UNLIMITED = 1 << 50

# A backup and the server itself come first.
_NICE = ["nice", "-n", "10"]
_POLITE_SECONDS = 10.0
_LOG_BYTES = 256 * 1024


def memory_limit(paths: Iterable[str] = _LIMITS) -> int:
    """The memory limit of this container in bytes; the default of the keeper where the kernel names none."""
    for path in paths:
        try:
            with open(path, encoding="ascii") as handle:
                found = handle.read().strip()
        except OSError:
            continue
        if found.isdigit() and int(found) < _UNLIMITED:
            return int(found)
    return _DEFAULT_MEMORY


def settings(root: str, memory_bytes: int) -> dict[str, str]:
    """What the copy never does or needs, whatever the settings of the instance say; memory_bytes is for all of it."""
    return {
        **ALONE,
        **access_settings(root + "/state"),
        "unix_socket_directories": root + "/run",
        "ssl": "off",
        "archive_mode": "off",
        "shared_buffers": postgres_size(memory_bytes // 8),
        # For the filter of amcheck that holds every row of a table; a smaller one only sees less.
        "maintenance_work_mem": postgres_size(memory_bytes // 8),
        "work_mem": "4MB",
        "huge_pages": "off",
        "jit": "off",
        "max_connections": "20",
        "max_wal_senders": "0",
        # No worker of an extension (a job scheduler) or of a subscription runs: the keeper may have a network.
        "max_worker_processes": "0",
        "max_parallel_workers_per_gather": "0",
        "max_parallel_maintenance_workers": "0",
    }


def below(folder: str, proc: str = "/proc") -> list[int]:
    """Processes that work in folder: the entrypoint, pgBackRest and PostgreSQL of a copy all do, and nobody else."""
    found = []
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            place = os.readlink("%s/%s/cwd" % (proc, name))
        except OSError:
            # Ended meanwhile, or another user's.
            continue
        if place == folder or place.startswith(folder + "/"):
            found.append(int(name))
    return found


def clear(
    scratch: str, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """End every process below scratch and remove what is there; returns whether there was anything."""
    end = clock() + _POLITE_SECONDS
    processes = below(scratch)
    there = bool(processes) or bool(os.path.isdir(scratch) and os.listdir(scratch))
    # An immediate shutdown, so that PostgreSQL gives its shared memory back; the entrypoint listens to SIGINT.
    for number in (signal.SIGINT, signal.SIGQUIT):
        _signal(processes, number)
    while processes and clock() < end:
        sleep(0.05)
        processes = below(scratch)
    while below(scratch):
        _signal(below(scratch), signal.SIGKILL)
        sleep(0.05)
    for name in os.listdir(scratch) if there else ():
        shutil.rmtree(os.path.join(scratch, name))
    return there


def _signal(processes: Iterable[int], number: int) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue


@dataclass
class KeeperSandbox:
    """See Sandbox. The folders differ from the image's only in tests."""

    keeper: Keeper
    scratch: str = SCRATCH_MOUNT
    server_config: str = CONFIG_MOUNT
    memory_bytes: int = field(default_factory=memory_limit)
    where: str = "keeper"
    jobs: int = 1
    _process: Optional[subprocess.Popen[bytes]] = None

    @property
    def instance(self) -> str:
        return self.keeper.instance

    @property
    def root(self) -> str:
        return self.scratch + "/drill"

    @property
    def production(self) -> str:
        return self.keeper.sockets

    @property
    def socket_dir(self) -> str:
        return self.root + "/run"

    @property
    def inside_socket_dir(self) -> str:
        return self.socket_dir

    @property
    def state_dir(self) -> str:
        return self.keeper.state

    @property
    def dumps_dir(self) -> str:
        return self.keeper.dumps

    @property
    def config_dir(self) -> str:
        return self.keeper.config

    @property
    def lock_files(self) -> Sequence[str]:
        return ("%s/%s" % (self.keeper.state, DRILL_LOCK),)

    @property
    def _log(self) -> str:
        return self.root + "/log"

    def ask(self, words: Sequence[str]) -> dict[str, Any]:
        # Late, for the command line imports this file.
        from ._cli import inside

        return inside(self.keeper, words)

    def clear(self) -> None:
        clear(self.scratch)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def require_space(self, needed_bytes: int) -> None:
        require_space(self.scratch, needed_bytes, "drill of %s" % self.instance)

    def prepare(self) -> None:
        for name in ("run", "state", "config", "spool", "lock", "data"):
            os.makedirs(os.path.join(self.root, name), 0o700)
        # The settings of the instance, but with our own word for an empty data directory.
        for name in os.listdir(self.server_config):
            if name != "on_empty":
                os.symlink(os.path.join(self.server_config, name), os.path.join(self.root, "config", name))
        write(File(self.root + "/config/on_empty", "restore\n", 0o640, os.getuid(), os.getgid()))
        write_access(self.root + "/state", os.getuid(), os.getgid())

    def start(self, recovery: Recovery) -> None:
        words = settings(self.root, self.memory_bytes)
        data = "%s/data/%s/data" % (self.root, os.environ.get("PG_MAJOR", "0"))
        environment = {
            **os.environ,
            "PGDATA": data,
            "PGKEEP_CONFIG": self.root + "/config",
            "PGKEEP_STATE": self.root + "/state",
            "PGKEEP_RESTORE_ARGS": recovery.words,
            "PGKEEP_REPOSITORY": str(recovery.repository),
            # archive-get refuses to work for another directory than this.
            "PGBACKREST_PG1_PATH": data,
            # Its own, so that it meets neither the archiver's queue nor a backup's lock.
            "PGBACKREST_SPOOL_PATH": self.root + "/spool",
            "PGBACKREST_LOCK_PATH": self.root + "/lock",
            **recovery.environment,
        }
        with open(self._log, "wb") as log:
            try:
                self._process = subprocess.Popen(
                    [
                        # The copy ends with the drill, however that ends.
                        *("setpriv", "--pdeathsig", "INT"),
                        *_NICE,
                        "pgkeep-entrypoint",
                        "server",
                        *(word for item in words.items() for word in ("-c", "%s=%s" % item)),
                    ],
                    cwd=self.root,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise PgkeepError(
                    "The copy could not be started", str(error), "run pgkeep drill in the keeper"
                ) from error

    def wait(self, timeout_seconds: float) -> None:
        wait_open(self.socket_dir, self._is_alive, self._tail, timeout_seconds)

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _tail(self) -> str:
        with open(self._log, "rb") as log:
            log.seek(max(os.path.getsize(self._log) - _LOG_BYTES, 0))
            lines = log.read().decode(errors="replace").splitlines()
        ended = self._process.poll() if self._process is not None else None
        if ended is not None:
            # Whoever is killed says nothing; a negative code is the signal.
            lines.append("its process ended with code %d" % ended)
        return "\n".join(lines[-LOG_LINES:])

    def execute(self, argv: Sequence[str], timeout: float) -> Result:
        return run([*_NICE, *argv], timeout=timeout)

    def tool(self, argv: Sequence[str]) -> Result:
        result: Result = self.keeper.run([*_NICE, *argv])
        return result

    def kill(self) -> None:
        processes = below(self.scratch)
        for number in (signal.SIGINT, signal.SIGQUIT):
            _signal(processes, number)

    def kept(self) -> str:
        return "look below %s in the keeper" % self.root
