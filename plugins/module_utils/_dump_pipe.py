# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs joined by pipes, with a deadline and without a shell. Private to the collection."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Optional, Sequence

from ._errors import PgkeepError
from ._times import hours

_CHUNK = 1024 * 1024
# How many of a program's last lines of errors are told.
_LINES = 3


@dataclass(frozen=True)
class Deadline:
    """The moment at which everything ends; seconds is what it was made from, end belongs to the monotonic clock."""

    seconds: float
    end: float

    @property
    def left(self) -> float:
        return max(0.0, self.end - time.monotonic())


def within(seconds: float) -> Deadline:
    return Deadline(seconds, time.monotonic() + seconds)


def nothing(_chunk: bytes) -> None:
    """For take, where what the last program prints does not matter."""


def flow(
    what: str,
    commands: Sequence[Sequence[str]],
    take: Callable[[bytes], None],
    deadline: Deadline,
    *,
    source: Optional[str] = None,
    partly: bool = False,
) -> None:
    """Run the commands, each reading what the one before it prints; take gets what the last one prints.

    source: file that the first one reads. partly: the last one may stop reading when it knows enough. Raises
    PgkeepError, beginning with what, when one fails or the deadline passes; then none of them runs any more. So it is
    with any error of take, which passes through.
    """
    processes: list[Any] = []
    with contextlib.ExitStack() as stack:
        stack.callback(_end, processes)
        errors = [stack.enter_context(tempfile.TemporaryFile()) for _command in commands]
        stdin: Any = stack.enter_context(open(source, "rb")) if source else subprocess.DEVNULL
        for command, error in zip(commands, errors):
            stdin = _start(what, command, stdin, error, processes)
        late = threading.Event()
        watch = threading.Timer(deadline.left, _too_late, (late, processes))
        watch.daemon = True
        watch.start()
        stack.callback(watch.cancel)
        for chunk in iter(lambda: processes[-1].stdout.read1(_CHUNK), b""):
            take(chunk)
        codes = [process.wait() for process in processes]
        if late.is_set():
            raise PgkeepError(
                what,
                "it was not ready after %s" % hours(deadline.seconds),
                "look for what it waits for (docker logs of the server), or allow it more time (deadline_seconds)",
            )
        _judge(what, commands, codes, errors, partly)


def _start(what: str, command: Sequence[str], stdin: Any, error: Any, processes: list[Any]) -> Any:
    try:
        process = subprocess.Popen(
            list(command), stdin=stdin, stdout=subprocess.PIPE, stderr=error, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )
    except OSError as failure:
        raise PgkeepError(what, "%s: %s" % (command[0], failure.strerror), "build the keeper's image anew") from failure
    if processes:
        # Only the reader may hold it: when the reader is gone the writer has to notice.
        processes[-1].stdout.close()
    processes.append(process)
    return process.stdout


def _too_late(late: threading.Event, processes: Sequence[Any]) -> None:
    late.set()
    for process in processes:
        process.kill()


def _end(processes: Sequence[Any]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def _judge(
    what: str, commands: Sequence[Sequence[str]], codes: Sequence[int], errors: Sequence[Any], partly: bool
) -> None:
    """The first that failed by itself is the cause; who only lost its reader, and says so or dies of it, is not."""
    failed = []
    for command, code, error in list(zip(commands, codes, errors))[-1 if partly else 0 :]:
        if code == 0:
            continue
        error.seek(0)
        said = [line for line in error.read().decode(errors="replace").splitlines() if line.strip()]
        lost = code == -signal.SIGPIPE or any("Broken pipe" in line for line in said)
        end = "was killed by signal %d" % -code if code < 0 else "ended with exit code %d" % code
        failed.append((lost, "; ".join(["%s %s" % (command[0], end), *said[-_LINES:]])))
    if failed:
        # False sorts first, and the order of the rest stays.
        why = min(failed, key=lambda each: each[0])[1]
        raise PgkeepError(what, why, "correct what it names (docker logs of the server), then repeat")
