# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine below the server: its control group, as the server reads it for us, and the disks. Private.

The keeper has no Docker socket. The files of the server's own control group are seen by whoever is in its container,
and its superuser may read them over SQL.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ._backup_repository import Keeper
from ._layout import DATA_MOUNT, SCRATCH_MOUNT
from ._probe import disk

# Version 1 has no word for "no limit" but a number near to all of an address space.
_NO_LIMIT = 1 << 60


def disks(keeper: Keeper) -> dict[str, dict[str, Any]]:
    """Name of a volume -> what _probe.disk() says of it; what is not mounted is left out."""
    folders = {
        "data": DATA_MOUNT,
        "repository": keeper.repository,
        "spool": keeper.spool,
        "state": keeper.state,
        "scratch": SCRATCH_MOUNT,
        "dumps": keeper.dumps,
    }
    found = {}
    for name, path in folders.items():
        try:
            found[name] = disk(path)
        except OSError:
            continue
    return found


def memory(files: Mapping[str, Optional[str]]) -> dict[str, Any]:
    """The part memory of the snapshot from the texts of cgroup; null where a file was not there.

    working_set_bytes is without the file cache that was not used for long. held_bytes, which is not in the snapshot, is
    without all of that cache, which the kernel takes back when it needs it: a database fills its limit with cache.
    """
    limit = _number(files.get("memory_limit"))
    used = _number(files.get("memory_used"))
    stat = _table(files.get("memory_stat"))
    inactive = stat.get("total_inactive_file", stat.get("inactive_file"))
    anonymous, shared = stat.get("total_rss", stat.get("anon")), stat.get("total_shmem", stat.get("shmem", 0))
    return {
        "limit_bytes": None if limit is None or limit >= _NO_LIMIT else limit,
        "used_bytes": used,
        "working_set_bytes": None if used is None or inactive is None else max(used - inactive, 0),
        "held_bytes": None if anonymous is None else anonymous + shared,
        "oom_kills": _table(files.get("memory_events")).get("oom_kill"),
    }


def cpu(files: Mapping[str, Optional[str]], before: Optional[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """The part cpu of the snapshot, and usage_seconds, which the next call wants as before with the seconds between.

    throttled_ratio: of the periods since before; used_ratio: of the quota, or of one processor without a quota.
    """
    stat = _table(files.get("cpu_stat"))
    usage = _number(files.get("cpu_usage"))
    usage_seconds = usage / 1e9 if usage is not None else None
    if "usage_usec" in stat:
        usage_seconds = stat["usage_usec"] / 1e6
    quota = _quota(files)
    found: dict[str, Any] = {
        "periods": stat.get("nr_periods"),
        "throttled_periods": stat.get("nr_throttled"),
        "throttled_ratio": None,
        "used_ratio": None,
        "quota_cpus": quota,
        "usage_seconds": usage_seconds,
    }
    if before is None or seconds <= 0:
        return found
    if None not in (before["periods"], found["periods"], before["throttled_periods"], found["throttled_periods"]):
        periods = found["periods"] - before["periods"]
        throttled = found["throttled_periods"] - before["throttled_periods"]
        # A new container counts from zero again.
        if periods >= 0 and throttled >= 0:
            found["throttled_ratio"] = round(throttled / periods, 4) if periods else 0.0
    if usage_seconds is not None and before["usage_seconds"] is not None and usage_seconds >= before["usage_seconds"]:
        found["used_ratio"] = round((usage_seconds - before["usage_seconds"]) / seconds / (quota or 1.0), 4)
    return found


def _quota(files: Mapping[str, Optional[str]]) -> Optional[float]:
    """Processors that the server may use, None for all of them."""
    words = (files.get("cpu_max") or "").split()
    quota, period = (_number(word) for word in words) if len(words) == 2 else (None, None)
    if not words:
        quota, period = _number(files.get("cpu_quota")), _number(files.get("cpu_period"))
    return round(quota / period, 2) if quota is not None and period and quota > 0 else None


def _number(text: Optional[str]) -> Optional[int]:
    """None for what is no number, such as the max of version 2."""
    try:
        return int((text or "").strip())
    except ValueError:
        return None


def _table(text: Optional[str]) -> dict[str, int]:
    """Lines of a name and a number."""
    pairs = (line.split() for line in (text or "").splitlines())
    return {words[0]: int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}
