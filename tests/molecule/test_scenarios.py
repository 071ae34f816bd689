# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Molecule scenario as one test: `molecule test -s <name>` from the root, its words in .work/logs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOGS = ROOT / ".work/logs"
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))

# A scenario of two minutes that takes this long hangs.
LIMIT = "30m"
TAIL_LINES = 60


def environment() -> dict[str, str]:
    """The tools beside this Python first, and the checkout as the place where the collection is found."""
    tools = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([tools, os.environ["PATH"]]),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "NO_COLOR": "1",
        "COLUMNS": "140",
    }


def test_there_are_scenarios() -> None:
    assert SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / ("molecule-%s.log" % scenario)
    with path.open("w") as log:
        # timeout ends the whole process group, Ansible's workers included, and leaves with 124.
        rc = subprocess.run(
            ["timeout", "--kill-after=30s", LIMIT, "molecule", "test", "-s", scenario],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if rc != 0:
        tail = "\n".join(path.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        verdict = "did not end within %s" % LIMIT if rc == 124 else "ended with %d" % rc
        pytest.fail("molecule test -s %s %s; the end of %s:\n%s" % (scenario, verdict, path, tail), pytrace=False)
