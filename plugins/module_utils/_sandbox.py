# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the copy of a drill lives, as an interface: the proofs know nothing else of it. Private to the collection."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Protocol, Sequence

from ._files import File, write
from ._run import Result

# The role that runs the checks of the inventory in a copy; it is made there and exists nowhere else.
CHECKER = "pgkeep_drill"

_HBA = "local all postgres,%s peer map=drill\n" % CHECKER
_IDENT = "".join("drill %s %s\n" % (user, role) for user in ("root", "postgres") for role in ("postgres", CHECKER))


@dataclass(frozen=True)
class Recovery:
    """What the copy is made from: backup and WAL of one repository. environment tells pgBackRest how to fetch WAL."""

    label: str
    timeline: int
    environment: Mapping[str, str]
    repository: int = 1

    @property
    def words(self) -> str:
        """The arguments of pgBackRest's restore: production's timeline, and a copy that archives nothing."""
        return "--set=%s --target-timeline=%d --archive-mode=off" % (self.label, self.timeline)


class Sandbox(Protocol):
    """A copy on the host (a container of its own) or in the keeper (a process of its own).

    where: host or keeper. jobs: how many tables are checked side by side. production: folder of the server's socket.
    socket_dir: folder of the copy's socket as we see it; inside_socket_dir: as execute() sees it. state_dir: the state
    folder of the instance. dumps_dir: where the dumps are. config_dir: where keeper.json is. lock_files: what is held
    during a drill, in this order; the last one belongs to drills alone, one before it is the instance's and is given
    back when there is no copy any more.
    """

    @property
    def instance(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def jobs(self) -> int: ...
    @property
    def production(self) -> str: ...
    @property
    def socket_dir(self) -> str: ...
    @property
    def inside_socket_dir(self) -> str: ...
    @property
    def state_dir(self) -> str: ...
    @property
    def dumps_dir(self) -> str: ...
    @property
    def config_dir(self) -> str: ...
    @property
    def lock_files(self) -> Sequence[str]: ...

    def ask(self, words: Sequence[str]) -> dict[str, Any]:
        """What the keeper's command line answers. Raises its PgkeepError."""

    def clear(self) -> None:
        """End and remove whatever a drill left, this one or an earlier one."""

    def require_space(self, needed_bytes: int) -> None:
        """Raises PgkeepError when the copy would not fit."""

    def prepare(self) -> None:
        """Make everything but the server: folders, volume, files."""

    def start(self, recovery: Recovery) -> None:
        """Begin to restore and recover; returns at once."""

    def wait(self, timeout_seconds: float) -> None:
        """Until the copy accepts writes. Raises PgkeepError with the reason of its end."""

    def execute(self, argv: Sequence[str], timeout: float) -> Result:
        """Run a command beside the copy, such as pg_amcheck."""

    def tool(self, argv: Sequence[str]) -> Result:
        """Run a command where the repository is."""

    def kill(self) -> None:
        """End the copy at once, from any thread."""

    def kept(self) -> str:
        """How to look into a copy that was left in place."""


class Deadline:
    """Ends the copy when the drill takes too long: whatever waits for it then gets an error. passed says so."""

    def __init__(self, seconds: float, kill: Callable[[], None]) -> None:
        self.seconds = seconds
        self.passed = False
        self._end_at = time.monotonic() + seconds
        self._kill = kill
        self._timer: Optional[threading.Timer] = None

    def __enter__(self) -> Deadline:
        self._timer = threading.Timer(self.seconds, self._end)
        self._timer.daemon = True
        self._timer.start()
        return self

    @property
    def left(self) -> float:
        """Seconds that remain."""
        return max(self._end_at - time.monotonic(), 0.0)

    def __exit__(self, *_error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self.passed = True
        self._kill()


def write_access(folder: str, uid: int, gid: int) -> None:
    """Who may log in to the copy: its superuser, and the role of the checks, both over its private socket only."""
    write(File(folder + "/pg_hba.conf", _HBA, 0o640, uid, gid))
    write(File(folder + "/pg_ident.conf", _IDENT, 0o640, uid, gid))


def access_settings(folder: str) -> dict[str, str]:
    """The settings that make the server read what write_access() wrote; folder as the server sees it."""
    return {"hba_file": folder + "/pg_hba.conf", "ident_file": folder + "/pg_ident.conf"}
