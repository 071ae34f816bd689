# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keys of the monitor do: backup, restart, sessions, log. Private to the collection.

Backup and restart run as the command itself, in a session of their own: whoever closes the terminal in the middle of a
restart shall not leave a server that is stopped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import InitVar, dataclass, field
from typing import IO, Any, Callable, Mapping, Optional, Sequence

from . import _sql as sql
from ._audit import recorded
from ._errors import PgkeepError
from ._layout import Layout

# start(argv, stdout, stderr) -> the process.
Start = Callable[[Sequence[str], IO[bytes], IO[bytes]], "subprocess.Popen[bytes]"]

# As bytes: a session may be in a database of another encoding, whose bytes the server passes on as they are.
_SESSIONS = """
SELECT textsend(coalesce(json_agg(s), '[]')::text) FROM (
  SELECT pid, usename AS "user", datname AS database, application_name AS application, host(client_addr) AS client,
    state, extract(epoch FROM clock_timestamp() - coalesce(xact_start, state_change))::float8 AS seconds,
    CASE WHEN wait_event IS NOT NULL THEN wait_event_type || '/' || wait_event END AS wait,
    CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{}' END AS blocked_by,
    left(query, 1000) AS query, backend_start::text AS began
  FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
  ORDER BY xact_start NULLS LAST, state_change
  LIMIT 200) s
"""
# A number is used again; the moment when the session began tells whether it is still the one that was looked at.
_TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid = %s AND backend_start = %s::timestamptz AND backend_type = 'client backend'"
)


def _start(argv: Sequence[str], out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)


@dataclass
class Job:
    """A command that runs, begun by begin(stdout, stderr); done() does not wait. Its files have no name, so nothing is
    left of them."""

    name: str
    begin: InitVar[Callable[[IO[bytes], IO[bytes]], subprocess.Popen[bytes]]]
    out: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    err: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self, begin: Callable[[IO[bytes], IO[bytes]], subprocess.Popen[bytes]]) -> None:
        try:
            self.process = begin(self.out, self.err)
        except OSError:
            self._close()
            raise

    def _close(self) -> None:
        self.out.close()
        self.err.close()

    def done(self) -> Optional[tuple[int, str]]:
        """Exit code and last words, told once; None while it runs. The words of a failure are what, why and next."""
        rc = self.process.poll()
        if rc is None:
            return None
        self.err.seek(0)
        self.out.seek(0)
        words = (self.err.read() if rc else self.out.read()).decode(errors="replace").strip()
        self._close()
        return rc, words or "exit code %d" % rc


@dataclass(frozen=True)
class Work:
    """What can be done to one instance; context is that of the commands of the host."""

    context: Any
    start: Start = field(default=_start)

    @property
    def layout(self) -> Layout:
        layout: Layout = self.context.layout
        return layout

    def backup(self) -> Job:
        return self._job("backup", [])

    def restart(self) -> Job:
        return self._job("restart", ["--confirm", self.layout.name])

    def _job(self, name: str, words: Sequence[str]) -> Job:
        argv = [*itself(), self.layout.name, name, *words]
        try:
            return Job(name, lambda out, err: self.start(argv, out, err))
        except OSError as error:
            raise PgkeepError("The %s could not be started" % name, "%s: %s" % (argv[0], error)) from error

    def sessions(self) -> list[dict[str, Any]]:
        """The sessions of clients, the oldest transaction first; keys are those of longest in the status, and began."""
        return list(json.loads(bytes(sql.query(self.layout.socket_dir, _SESSIONS)[0][0]).decode("utf-8", "replace")))

    def terminate(self, session: Mapping[str, Any]) -> None:
        """End the session that was seen. Raises when it is not there any more."""
        about = {name: session[name] for name in ("pid", "user", "database", "application")}
        with recorded(self.layout.state_dir, "terminate", self.context.who, about):
            if not sql.query(self.layout.socket_dir, _TERMINATE, [session["pid"], session["began"]]):
                raise PgkeepError(
                    "Session %s was not ended" % session["pid"],
                    "it is over already",
                    "look at the list, which is new every few seconds",
                )

    def log(self) -> subprocess.Popen[bytes]:
        """The server's log as it grows, its last 1000 lines first; who asked for it ends it."""
        argv = ["docker", "logs", "--follow", "--tail", "1000", self.layout.server]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def itself() -> list[str]:
    """How this very command is called: the installed file, by the Python that runs it."""
    return [sys.executable, "-I", os.path.abspath(sys.argv[0])]
