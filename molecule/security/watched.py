#!/usr/bin/env python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command and look for secrets in its words and in the arguments and environment of every process meanwhile.

Usage: watched.py SECRETS_DIR[:SECRETS_DIR…] -- COMMAND WORD…

Ends with 1 and a list of the places where a secret was seen, or when the command failed.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from outside import values

# A process that lives for less may be missed by one look, hardly by all of them.
PAUSE_SECONDS = 0.002
LIMIT_SECONDS = 300


class Watch(threading.Thread):
    """seen: process id -> place and name of the process that showed a secret; looks: how often everything was read."""

    def __init__(self, known: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.known = known
        self.seen: dict[str, str] = {}
        self.looks = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for place in ("cmdline", "environ"):
                    self.look(process, place)
            self.looks += 1
            time.sleep(PAUSE_SECONDS)

    def look(self, process: Path, place: str) -> None:
        try:
            text = (process / place).read_bytes()
            if any(value in text for value in self.known):
                # The text itself has the secret, so only the name of the program is told.
                self.seen[process.name] = f"{place} of {(process / 'comm').read_text().strip()}"
        except OSError:
            # It ended meanwhile.
            pass


def main() -> int:
    known = [value.encode() for value in values(sys.argv[1])]
    watch = Watch(known)
    watch.start()
    done = subprocess.run(
        sys.argv[3:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=LIMIT_SECONDS
    )
    watch.over.set()
    watch.join()
    places = sorted(set(watch.seen.values()))
    if any(value in done.stdout for value in known):
        places.append("what it printed")
    elif done.returncode:
        print(done.stdout.decode()[-3000:])
    print(f"{watch.looks} looks; secrets seen in: {', '.join(places) or 'none'}")
    return bool(places or done.returncode or not watch.looks)


if __name__ == "__main__":
    sys.exit(main())
