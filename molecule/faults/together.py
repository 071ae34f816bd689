#!/usr/bin/env python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start two playbooks at the same moment, as two people on two control nodes would.

Usage: together.py FOLDER INVENTORY -- PLAYBOOK WORD… -- PLAYBOOK WORD…

The first runs from this checkout, the second from a copy of it below FOLDER, and each has a home of its own there.
Prints a list with rc and said (what it printed, in one line) of each as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("collections", "meta", "playbooks", "plugins", "roles")
FILES = ("ansible.cfg", "galaxy.yml")
LIMIT_SECONDS = 300


def second_checkout(folder: Path) -> Path:
    copy = folder / "checkout"
    shutil.rmtree(copy, ignore_errors=True)
    for part in PARTS:
        # Its link to the collection leads into the copy.
        shutil.copytree(ROOT / part, copy / part, symlinks=True)
    for file in FILES:
        shutil.copy(ROOT / file, copy / file)
    return copy


def start(checkout: Path, home: Path, inventory: str, words: list[str]) -> subprocess.Popen[str]:
    home.mkdir(parents=True, exist_ok=True)
    # Molecule's own settings would be those of one checkout.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment.update(HOME=str(home), ANSIBLE_COLLECTIONS_PATH=str(checkout / "collections"), ANSIBLE_NOCOLOR="1")
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", inventory, *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, cwd=checkout, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def main() -> int:
    folder, inventory, _dashes, *rest = sys.argv[1:]
    middle = rest.index("--")
    nodes = ((ROOT, rest[:middle]), (second_checkout(Path(folder)), rest[middle + 1 :]))
    running = [
        start(checkout, Path(folder, "home-%d" % number), inventory, words)
        for number, (checkout, words) in enumerate(nodes)
    ]
    said = [process.communicate(timeout=LIMIT_SECONDS)[0] for process in running]
    print(json.dumps([{"rc": each.returncode, "said": " ".join(text.split())} for each, text in zip(running, said)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
