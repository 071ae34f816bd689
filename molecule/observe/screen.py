# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uses ``pgkeep <instance> monitor`` as somebody at a terminal does: keys, and what is on the screen.

Prints one JSON object with what was seen; ends with a traceback and the last screen where that did not come.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

import pyte

ROWS, COLUMNS = 30, 100


class Terminal:
    def __init__(self, argv: list[str]) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
            os.execvp(argv[0], argv)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def read(self, seconds: float) -> bool:
        """False when the program has ended."""
        if select.select([self.descriptor], [], [], seconds)[0]:
            try:
                self.stream.feed(os.read(self.descriptor, 65536))
            except OSError:
                return False
        return True

    def wait_for(self, words: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while words not in "\n".join(self.screen.display):
            there = self.read(0.1)
            if not there or time.monotonic() > deadline:
                raise SystemExit("never on the screen: %s\n%s" % (words, "\n".join(self.screen.display)))
        return next(line for line in self.screen.display if words in line)

    def press(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def end(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        while self.read(0.1) and time.monotonic() < deadline:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def told(*words: str) -> dict:
    # Not its exit code: that is the verdict.
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=False).stdout)


def labels(instance: str) -> set[str]:
    return {backup["label"] for backup in told("pgkeep", instance, "backups", "--json")["backup_info"]["backups"]}


def psql(instance: str, sql: str) -> list[str]:
    return ["docker", "exec", instance, "psql", "--no-psqlrc", "--command", sql]


def read_the_log(terminal: Terminal, instance: str) -> None:
    """L shows what the server says now, and leaves it."""
    subprocess.run(
        psql(instance, "do $$ begin raise log 'seen on the screen'; end $$"), stdout=subprocess.DEVNULL, check=True
    )
    terminal.press("l")
    terminal.wait_for("log of %s" % instance, 10)
    terminal.wait_for("seen on the screen", 10)
    terminal.press("l")
    terminal.wait_for("production", 10)


def end_a_session(terminal: Terminal, instance: str) -> str:
    """K ends the session of the oldest transaction; what its client is told."""
    words = psql(instance, "begin; select pg_sleep(300)")
    client = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        terminal.press("2")
        # Below the list, which K would end: the oldest transaction.
        terminal.wait_for("psql · from the socket", 20)
        terminal.wait_for("begin; select pg_sleep(300)", 1)
        terminal.press("k")
        terminal.wait_for("y yes", 10)
        terminal.press("y")
        terminal.wait_for("was ended.", 20)
        told_client = client.communicate(timeout=30)[1]
    finally:
        client.kill()
        client.wait()
    terminal.press("1")
    return told_client


def main(instance: str) -> None:
    verdict = told("pgkeep", instance, "monitor", "--once", "--json")
    before, backups = verdict["containers"]["server"]["started_at"], labels(instance)
    terminal = Terminal(["pgkeep", instance, "monitor", "--interval", "1"])
    terminal.wait_for("running/healthy", 20)
    line = terminal.wait_for("production", 1)
    # It may have changed in between.
    possible = {verdict["status"], told("pgkeep", instance, "monitor", "--once", "--json")["status"]}
    assert any(status.upper() in line for status in possible), (possible, line)
    read_the_log(terminal, instance)
    session = end_a_session(terminal, instance)
    terminal.press("b")
    terminal.wait_for("Backup done.", 120)
    terminal.press("r")
    terminal.wait_for("Type %s" % instance, 10)
    terminal.press(instance + "\r")
    terminal.wait_for("Restart done.", 120)
    terminal.press("q")
    code = terminal.end(20)
    after = told("pgkeep", instance, "monitor", "--once", "--json")
    print(
        json.dumps(
            {
                "verdict": line.strip(),
                "session": session,
                "new_backups": sorted(labels(instance) - backups),
                "restarted": after["containers"]["server"]["started_at"] > before,
                "exit_code": code,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
