# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a test runs a long command of the project: its words go to .work/logs, their end into the failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, Sequence

import pytest

ROOT = Path(__file__).parents[1]
LOGS = ROOT / ".work/logs"

# What takes two minutes and has not ended by then hangs.
LIMIT = "30m"
TAIL_LINES = 60


def environment() -> dict[str, str]:
    """The tools beside this Python first, and the checkout as the place where the collection is found."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "NO_COLOR": "1",
        "ANSIBLE_NOCOLOR": "1",
        "COLUMNS": "140",
    }


def _told(lines: list[str]) -> str:
    """The end, and before it what failed, where a tool went on for long after that."""
    failed = [number for number, line in enumerate(lines) if line.startswith("fatal: ")]
    end = max(len(lines) - TAIL_LINES, 0)
    first = [] if not failed or failed[-1] >= end else [*lines[max(failed[-1] - 6, 0) : failed[-1] + TAIL_LINES], "[…]"]
    return "\n".join([*first, *lines[end:]])


def run_logged(name: str, argv: Sequence[str]) -> None:
    """Run argv in the root with its output in .work/logs/<name>.log; fail with its end unless it succeeds."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / (name + ".log")
    with path.open("w") as log:
        # timeout ends the whole process group, Ansible's workers included, and leaves with 124.
        rc = subprocess.run(
            ["timeout", "--kill-after=30s", LIMIT, *argv],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if rc != 0:
        tail = _told(path.read_text(errors="replace").splitlines())
        verdict = "did not end within %s" % LIMIT if rc == 124 else "ended with %d" % rc
        pytest.fail("%s %s; the end of %s:\n%s" % (" ".join(argv), verdict, path, tail), pytrace=False)


@pytest.fixture(name="run_logged")
def run_logged_fixture() -> Callable[[str, Sequence[str]], None]:
    return run_logged


@pytest.fixture(scope="module")
def run_logged_module() -> Callable[[str, Sequence[str]], None]:
    """The same for what a whole file of tests stands on."""
    return run_logged
