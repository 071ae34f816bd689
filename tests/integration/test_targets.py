# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every target of tests/integration/targets, one per module, as one test. Those called setup_* are parts of others.

Most targets share the instance pgkeep-it, which the first of them deploys and which is removed here.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Iterator, Sequence

import pytest

HERE = Path(__file__).parent
TARGETS = sorted(
    path.parents[1].name
    for path in HERE.glob("targets/*/tasks/main.yml")
    if not path.parents[1].name.startswith("setup_")
)
# Everything that a target may make, also one that was killed.
INSTANCES = ("pgkeep-it", "pgkeep-it-instance", "pgkeep-it-small", "pgkeep-it-look")
# Their names are the same for every checkout on this machine, so one test run waits for another.
LOCK = Path("/run/pgkeep-it.lock")
SECRETS = HERE.parents[1] / ".work/integration"


def docker(*argv: str) -> list[str]:
    """The words that docker argv prints."""
    return subprocess.run(["docker", *argv], stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def remove_instances() -> None:
    for name in INSTANCES:
        label = "label=pgkeep.instance=" + name
        for container in docker("ps", "--all", "--quiet", "--filter", label):
            docker("rm", "--force", container)
        for volume in docker("volume", "ls", "--quiet", "--filter", label):
            docker("volume", "rm", volume)
        for folder in ("/etc/pgkeep", "/var/lib/pgkeep"):
            shutil.rmtree(Path(folder, name), ignore_errors=True)
    for network in docker("network", "ls", "--quiet", "--filter", "name=^pgkeep-it$"):
        docker("network", "rm", network)
    shutil.rmtree(SECRETS, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def no_instances() -> Iterator[None]:
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_instances()
        yield
        remove_instances()


def test_there_are_targets() -> None:
    assert TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_target(target: str, run_logged: Callable[[str, Sequence[str]], None]) -> None:
    roles = "ANSIBLE_ROLES_PATH=%s" % (HERE / "targets")
    playbook = [
        "ansible-playbook",
        "-i",
        str(HERE / "inventory.yml"),
        str(HERE / "target.yml"),
        "-e",
        "target=" + target,
    ]
    run_logged("target-" + target, ["env", roles, *playbook])
