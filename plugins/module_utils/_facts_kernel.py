# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of the kernel, of limits and of what may restart the engine. Reads only. Private to the collection."""

from __future__ import annotations

import os
import platform
import re
import shutil
from typing import Any, Optional

from ._errors import PgkeepError
from ._run import Run

_OPEN_FILES = re.compile(r"^Max open files +(\S+) ", re.MULTILINE)
_CHOSEN = re.compile(r"\[(\w+)\]")
_APT = re.compile(r'^(\S+) "(.*)";$', re.MULTILINE)


def text(path: str) -> str:
    """The file's text, empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def kernel(swap_bytes: int) -> dict[str, Any]:
    """release, cgroup (1 or 2), swap_bytes, swappiness, overcommit (vm.overcommit_memory) and huge_pages, how the
    kernel makes transparent ones (None where it has none)."""
    chosen = _CHOSEN.search(text("/sys/kernel/mm/transparent_hugepage/enabled"))
    return {
        "release": platform.release(),
        "cgroup": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "swap_bytes": swap_bytes,
        "swappiness": int(text("/proc/sys/vm/swappiness") or 60),
        "overcommit": int(text("/proc/sys/vm/overcommit_memory") or 0),
        "huge_pages": chosen.group(1) if chosen else None,
    }


def open_files(pid: object) -> Optional[int]:
    """How many files the process may have open at once; None when there is no such process here."""
    found = _OPEN_FILES.search(text("/proc/%s/limits" % pid))
    if found is None:
        return None
    # No limit is more than any.
    return int(found.group(1)) if found.group(1).isdigit() else 2**63


def engine_open_files() -> Optional[int]:
    return open_files(text("/var/run/docker.pid").strip())


def updates(run: Run) -> Optional[dict[str, Any]]:
    """What upgrades packages by itself: unattended, spares_engine (whether Docker's are left out), reboots (by itself)
    and reboot_required; None on a system without apt."""
    if shutil.which("apt-config") is None:
        return None
    try:
        result = run(["apt-config", "dump"], timeout=10)
    except PgkeepError:
        return None
    return {**apt(result.stdout), "reboot_required": os.path.exists("/var/run/reboot-required")}


def apt(dump: str) -> dict[str, bool]:
    """unattended, spares_engine and reboots from apt-config dump."""
    found = _APT.findall(dump)
    values = {name: value for name, value in found if not name.endswith("::")}
    spared = [value for name, value in found if name.startswith("Unattended-Upgrade::Package-Blacklist::")]
    return {
        "unattended": values.get("APT::Periodic::Unattended-Upgrade", "0") not in ("0", ""),
        "spares_engine": any("docker" in value for value in spared) and any("containerd" in value for value in spared),
        "reboots": values.get("Unattended-Upgrade::Automatic-Reboot", "false").lower() in ("true", "1", "yes"),
    }
