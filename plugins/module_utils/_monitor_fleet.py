# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitor of a whole inventory: one row for each instance, the worst first. Private to the collection."""

from __future__ import annotations

import time
from typing import Any, Iterable, Mapping, Optional

from ._host_text import Style, table
from ._layout import Layout
from ._monitor_draw import NOTHING, SYMBOLS, clean, number, span_of
from ._monitor_status import LEVELS, observe, worst
from ._run import Run
from ._times import epoch_of, hours

_HEADER = ("INSTANCE", "STATUS", "READY", "VERSION", "ROLE", "SESSIONS", "TPS", "RESPONSE", "DISK", "BACKUP", "DRILL",
           "ALERTS", "WHY")  # fmt: skip
_LONGEST_WHY = 90


def look(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """What the module monitor_info returns; an instance that cannot be seen is critical and no failure."""
    return {"changed": False, "monitor": row(observe(run, Layout(params["name"]), time.time()))}


def row(status: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one instance that a fleet is compared by, and the whole status."""
    instance, sessions, backup = status["instance"], status["sessions"], status["backup"]
    used = [each["used_percent"] for each in status["storage"] if each["used_percent"] is not None]
    at, now = epoch_of((backup["drill"] or {}).get("at")), epoch_of(status["time"])
    return {
        "instance": instance["name"],
        "status": status["status"],
        "ready": status["ready"],
        "version": instance["pg_version"],
        "role": instance["role"],
        "sessions": sessions["total"],
        "sessions_maximum": sessions["maximum"],
        "transactions_per_second": status["rates"]["transactions_per_second"],
        "response_ms": status["latency"]["response_ms"],
        "disk_worst_percent": max(used, default=None),
        "backup_age_seconds": (backup["newest"] or {}).get("age_seconds"),
        "drill_result": (backup["drill"] or {}).get("result"),
        "drill_age_seconds": None if at is None or now is None else max(now - at, 0.0),
        "alerts_failing": list(status["alerts"]["failing"]),
        "alerts_waiting": status["alerts"]["waiting"],
        "reasons": list(status["reasons"]),
        "status_object": dict(status),
    }


def fleet(hosts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One object of the variables of hosts: rows, the worst first; status, the worst of all; reached, the levels
    from warning up to that; lines, the rows as a table.

    monitor_result among them is the result of the module monitor_info. A host without one is a row too: nobody could
    look at it.
    """
    rows = [_row(str(host["inventory_hostname"]), host.get("monitor_result") or {}) for host in hosts]
    rows.sort(key=lambda each: (-LEVELS.index(each["status"]), each["instance"]))
    status = worst(*(each["status"] for each in rows))
    cells = [[_cells(each)[name] for name in _HEADER] for each in rows]
    return {
        "rows": rows,
        "status": status,
        "reached": list(LEVELS[1 : LEVELS.index(status) + 1]),
        "lines": table(_HEADER, cells, Style()).splitlines(),
    }


def _row(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    found = result.get("monitor")
    if isinstance(found, Mapping):
        return {key: value for key, value in found.items() if key != "status_object"}
    unreachable = "the host is unreachable: " if result.get("unreachable") else ""
    words = unreachable + clean(result.get("msg") or "nobody has looked at it")
    return {"instance": name, "status": "critical", "ready": None, "reasons": [words]}


def _cells(found: Mapping[str, Any]) -> dict[str, Optional[str]]:
    def get(name: str) -> Any:
        return found.get(name)

    def age(name: str) -> str:
        return NOTHING if get(name) is None else hours(get(name))

    failing = ", ".join(str(each) for each in get("alerts_failing") or ())
    drill = None if get("drill_result") is None else "%s %s" % (get("drill_result"), age("drill_age_seconds"))
    waiting = get("alerts_waiting")
    disk, response = get("disk_worst_percent"), get("response_ms")
    sessions = "%s/%s" % (number(get("sessions")), number(get("sessions_maximum")))
    return {
        "INSTANCE": get("instance"),
        "STATUS": "%s %s" % (SYMBOLS[get("status")], get("status")),
        "READY": {True: "yes", False: "no"}.get(get("ready")),
        "VERSION": get("version"),
        "ROLE": get("role"),
        "SESSIONS": None if get("sessions") is None else sessions,
        "TPS": number(get("transactions_per_second"), 1),
        "RESPONSE": NOTHING if response is None else "%.1f ms" % response,
        "DISK": NOTHING if disk is None else "%.0f %%" % disk,
        "BACKUP": span_of(get("backup_age_seconds")),
        "DRILL": drill,
        "ALERTS": "not delivered: " + failing if failing else None if waiting is None else "%d wait" % waiting,
        "WHY": "; ".join(clean(reason) for reason in get("reasons") or ())[:_LONGEST_WHY],
    }
