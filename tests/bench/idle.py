# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance takes while nothing happens."""

from __future__ import annotations

import json

from .tools import KEEPER, NAME, fact, server_image, sh

_SECONDS = 30

# Nanoseconds of processor time: version 1 of control groups has a file of its own, version 2 a line in microseconds.
_USED = """
used() {
  if [ -r /sys/fs/cgroup/cpuacct/cpuacct.usage ]; then cat /sys/fs/cgroup/cpuacct/cpuacct.usage
  else awk '/^usage_usec/ { print $2 * 1000 }' /sys/fs/cgroup/cpu.stat; fi
}
"""


def _cpu_percent(container: str) -> float:
    """Of one core, over the whole time; asked by one process, whose own start is not part of it."""
    script = f"{_USED} used; sleep {_SECONDS}; used"
    first, last = (int(float(line)) for line in sh("docker", "exec", container, "sh", "-c", script).split())
    return (last - first) / 1e9 / _SECONDS * 100


def _memory(container: str) -> str:
    return sh("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", container).split("/")[0].strip()


def measure() -> None:
    # The first look at the processor is also the pause after the deploy.
    fact(f"processor of the idle keeper over {_SECONDS} s, of one core", f"{_cpu_percent(KEEPER):.2f} %", "<= 1 %")
    fact("memory of the idle keeper", _memory(KEEPER), "<= 80 MiB")
    fact("memory of the idle server", _memory(NAME))
    size = json.loads(sh("docker", "inspect", server_image()))[0]["Size"]
    fact("size of the server's image", f"{size / 1e6:.0f} MB")
