# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the monitor: functions (status, width) -> lines. Private to the collection.

status is what _monitor_status.observe() returns. Every panel says what is not known as such.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from ._board import STALE_POLLS
from ._monitor_draw import (
    NOTHING,
    SYMBOLS,
    Line,
    ago,
    clean,
    clock,
    crop,
    cut,
    fit,
    gauge,
    number,
    percent,
    span_of,
    spark,
    wrapped,
)
from ._times import epoch_of, hours
from ._units import human

Status = Mapping[str, Any]

# The five that everybody asks for first, and what they are called here.
REQUIRED = (
    ("database", "database"),
    ("container", "container"),
    ("disk", "disk"),
    ("restarts", "restarts 24h"),
    ("response_time", "response"),
)
_UNKNOWN = {"status": "unknown", "value": None, "message": "not known", "unit": "", "warn": None, "crit": None}


def now_of(status: Status) -> Optional[float]:
    return epoch_of(status["time"])


def level_style(level: str) -> str:
    return level if level in SYMBOLS else "unknown"


def verdict(status: Status, width: int, age_seconds: Optional[float] = None, note: str = "") -> list[Line]:
    """The word, what it is about, how old that is; below it the reasons. note stands where the age would."""
    level = level_style(status["status"])
    instance = status["instance"]
    about = [
        instance["environment"],
        instance["role"],
        "PostgreSQL %s" % instance["pg_version"] if instance["pg_version"] else None,
        "up %s" % hours(instance["uptime_seconds"]) if instance["uptime_seconds"] is not None else None,
    ]
    if status["maintenance"]:
        about.append("in maintenance: %s" % status["maintenance"]["reason"])
    elif not status["ready"]:
        about.append("NOT READY")
    right = (note or age_words(age_seconds)) if width >= 40 else ""
    head: Line = [
        (" %s %s " % (SYMBOLS[level], status["status"].upper()), level),
        ("  %s" % clean(instance["name"]), "strong"),
        ("  " + " · ".join(clean(each) for each in about if each), ""),
    ]
    head = cut(head, width - len(right) - 1)
    space = width - sum(len(words) for words, _style in head) - len(right)
    return [[*head, (" " * max(space, 1), ""), (right, "now" if note else "dim")], *_reasons(status, width, level)]


def age_words(seconds: Optional[float]) -> str:
    return "no data yet" if seconds is None else "data %.0f s old" % seconds


def _reasons(status: Status, width: int, level: str) -> list[Line]:
    """At most two lines, and how many more there are."""
    reasons = [clean(reason) for reason in status["reasons"]]
    if not reasons:
        return [cut([("   nothing to complain about", "dim")], width)]
    shown = wrapped(reasons[0], width - 3, 2) if len(reasons) == 1 else reasons[:2]
    more = "  (and %d more)" % (len(reasons) - 2) if len(reasons) > 2 else ""
    room = [width - 3] * (len(shown) - 1) + [width - 3 - len(more)]
    lines: list[Line] = [[("   " + crop(words, size), level)] for words, size in zip(shown, room)]
    lines[-1].append((more, level))
    return lines


def five(status: Status) -> list[tuple[str, Mapping[str, Any]]]:
    """The required checks by the names that people know; disk is the worst one of all volumes."""
    checks = {check["id"]: check for check in status["checks"]}
    disks = [check for name, check in checks.items() if name.startswith("disk_")]
    order = ("unknown", "healthy", "warning", "critical")
    fullest = max(disks, key=lambda each: (order.index(each["status"]), each["value"] or 0), default=None)
    if fullest is not None:
        checks["disk"] = fullest
    return [(title, checks.get(name, _UNKNOWN)) for name, title in REQUIRED]


def checks(status: Status, width: int) -> list[Line]:
    """A symbol, the value, a bar where there are bounds, the bounds, how long it has been so."""
    now = now_of(status)
    lines = []
    for title, check in five(status):
        style = level_style(check["status"])
        value = check["value"]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # Words for a unit, such as per day, are in the title.
            unit = check["unit"] if len(check["unit"]) < 3 else ""
            shown = number(value, 0 if value == int(value) else 1, unit)
            share = 100.0 * value / check["crit"] if check["crit"] else None
            # A percentage is a bar of its own; the rest is full where it becomes critical.
            drawn = gauge(value if check["unit"] == "%" else share, 8)
            bounds = "%g|%g" % (check["warn"], check["crit"]) if check["warn"] is not None and check["crit"] else ""
        else:
            shown, drawn, bounds = clean(check["message"] if value is None else value), "", ""
        since = epoch_of(check.get("since"))
        age = "" if since is None or now is None else hours(max(now - since, 0))
        line: Line = [(" %s " % SYMBOLS[style], style), (fit(title, 13), "")]
        if drawn:
            line += [(fit(shown, 9, right=True) + " ", "strong"), (drawn, style), (" " + fit(bounds, 7), "dim")]
        else:
            line += [(fit(shown, 26), "strong" if value is not None else "dim")]
        lines.append(cut([*line, (age and " " + age, "dim")], width))
    return lines


def others(status: Status, width: int, most: int = 99) -> list[Line]:
    """The other checks, the bad ones first."""
    required = {id(check) for _title, check in five(status)}
    order = {"critical": 0, "warning": 1, "unknown": 3}
    rest = [check for check in status["checks"] if id(check) not in required]
    rest.sort(key=lambda check: order.get(check["status"], 2))
    return [
        cut(
            [
                (" %s " % SYMBOLS[level_style(check["status"])], level_style(check["status"])),
                (fit(check["id"], 20) + " ", ""),
                (clean(check["message"]), "dim" if check["status"] in ("healthy", "unknown") else "strong"),
                ("  → " + clean(check["hint"]) if check["hint"] else "", "dim"),
            ],
            width,
        )
        for check in rest[:most]
    ]


def load(status: Status, width: int) -> list[Line]:
    """Sessions, transactions, cache hits, answers, each with its last hour; memory and processor of the server."""
    sessions, rates, history = status["sessions"], status["rates"], status["history"]
    room = max(width - 27, 0)
    rows = (
        ("sessions", _of(sessions["total"], sessions["maximum"]), "sessions_active"),
        ("transactions", number(rates["transactions_per_second"], 1, "/s"), "transactions_per_second"),
        ("cache hits", percent(rates["cache_hit_ratio"]), "cache_hit_ratio"),
        ("response", number(status["latency"]["response_ms"], 1, "ms"), "response_ms"),
    )
    lines: list[Line] = [
        [
            (" " + fit(title, 13), ""),
            (fit(value, 11, right=True) + " ", "strong"),
            (spark(history[name] or [], min(room, 60)), "now"),
        ]
        for title, value, name in rows
    ]
    words = "%s active · %s idle · %s in transaction · " % (
        number(sessions["active"]), number(sessions["idle"]), number(sessions["idle_in_transaction"]),
    )  # fmt: skip
    blocked = sessions["blocked"]
    lines.insert(1, [(" " + words, "dim"), ("%s blocked" % number(blocked), "warning" if blocked else "dim")])
    return [cut(line, width) for line in lines]


def _of(value: Optional[float], whole: Optional[float]) -> str:
    return number(value) if whole is None else "%s of %s" % (number(value), number(whole))


def transactions(status: Status, width: int, most: int = 5) -> list[Line]:
    """The longest ones with who holds them up, then the header's row above them."""
    longest = status["sessions"]["longest"][:most]
    if not longest:
        words = "no transaction runs" if status["sessions"]["total"] is not None else "not known"
        return [cut([(" " + words, "dim")], width)]
    columns = [("PID", 7), ("USER", 10), ("DATABASE", 10), ("STATE", 11), ("FOR", 7), ("WAITS", 12), ("BY", 7)]
    if width < 90:
        # The query tells more than the name of the database.
        del columns[2]
    lines: list[Line] = [[(" " + " ".join(fit(name, size) for name, size in columns) + " QUERY", "dim")]]
    for each in longest:
        blockers = ", ".join(str(pid) for pid in each["blocked_by"])
        values = {
            "PID": each["pid"],
            "USER": each["user"],
            "DATABASE": each["database"],
            "STATE": state_of(each),
            "FOR": span_of(each["seconds"]),
            "WAITS": str(each["wait"] or NOTHING).rpartition("/")[2],
        }
        style = "warning" if blockers else ""
        lead = " ".join(fit(values[name], size) for name, size in columns[:-1])
        by = crop(blockers, 7)
        lines.append(
            [(" " + lead + " ", style), (by + " " * (8 - len(by)), "critical"), (clean(each["query"] or ""), style)]
        )
    return [cut(line, width) for line in lines]


def state_of(session: Mapping[str, Any]) -> str:
    """As PostgreSQL calls it, the long one short."""
    return clean(session["state"] or NOTHING).replace("idle in transaction", "idle in tx")


def _places(status: Status) -> list[tuple[str, Mapping[str, Any]]]:
    """The volumes by name, those that share their space with one before them only counted there."""
    shared: dict[Any, list[Mapping[str, Any]]] = {}
    for each in status["storage"]:
        shared.setdefault((each["size_bytes"], each["free_bytes"]), []).append(each)
    return [
        ("%s +%d" % (all_[0]["id"], len(all_) - 1) if all_[1:] else all_[0]["id"], all_[0]) for all_ in shared.values()
    ]


def storage(status: Status, width: int) -> list[Line]:
    """Each space with what it grows a day and when it is full; databases and WAL."""
    levels = {check["id"]: check["status"] for check in status["checks"]}
    columns = (("VOLUME", 16), ("USED", 6), ("FREE", 10), ("A DAY", 10))
    lines: list[Line] = [[(" " + "".join(fit(name, size) for name, size in columns) + "FULL", "dim")]]
    for name, each in _places(status):
        growth, left = each["growth_bytes_per_day"], each["days_to_full"]
        used = "" if each["used_percent"] is None else "%.0f %%" % each["used_percent"]
        free = None if each["free_bytes"] is None else human(each["free_bytes"])
        day = None if growth is None else ("+" if growth >= 0 else "-") + human(abs(growth))
        lines.append(
            [
                (" " + fit(name, 11), ""),
                (gauge(each["used_percent"], 4) + " ", level_style(levels.get("disk_%s" % each["id"], "healthy"))),
                (fit(used, 6), "strong"),
                (fit(free, 10) + fit(day, 10) + (NOTHING if left is None else "%.0f d" % left), "dim"),
            ]
        )
    sizes = human(sum(each["size_bytes"] or 0 for each in status["databases"])) if status["databases"] else NOTHING
    wal = NOTHING if status["wal_bytes"] is None else human(status["wal_bytes"])
    lines.append([(" databases %s, WAL %s" % (sizes, wal), "dim")])
    return [cut(line, width) for line in lines]


def backup(status: Status, width: int) -> list[Line]:
    """The newest one and its proof, what runs, what comes next, whether WAL reaches the archive."""
    found, now = status["backup"], now_of(status)
    newest, drill = found["newest"], found["drill"]
    rows: list[tuple[str, str, str]] = []
    if newest:
        size = "" if newest["repository_bytes"] is None else ", %s" % human(newest["repository_bytes"])
        rows.append(("newest", "%s, %s%s" % (newest["type"], ago(newest["age_seconds"]), size), "strong"))
    else:
        known = found["status"] is not None
        rows.append(("newest", "NONE" if known else "not known", "critical" if known else "dim"))
    proven = epoch_of(newest["proven_at"]) if newest else None
    if drill and drill["at"]:
        at = epoch_of(drill["at"])
        words = "%s %s" % (drill["result"], ago(None if at is None or now is None else now - at))
        words += "" if drill["rto_seconds"] is None else ", RTO %s" % span_of(drill["rto_seconds"])
        words += "" if drill["rpo_seconds"] is None else ", RPO %s" % span_of(drill["rpo_seconds"])
        rows.append(("drill", words, "healthy" if drill["result"] == "ok" else "critical"))
    else:
        rows.append(
            ("drill", "never: nothing is proven" if proven is None else "proven", "warning" if not proven else "")
        )
    running = found["running"]
    if running:
        share = running["percent"]
        words = "%s %s%s" % (running["operation"], gauge(share, 12), "" if share is None else " %.0f %%" % share)
        rows.append(("running", words, "now"))
    else:
        ahead = "%s, drill %s" % (clock(found["next_at"], now), clock(drill["next_at"] if drill else None, now))
        rows.append(("next", ahead + " UTC", ""))
    rows.append(("archive", *_archive(status)))
    return [cut([(" " + fit(title, 9), ""), (clean(words), style)], width) for title, words, style in rows]


def _archive(status: Status) -> tuple[str, str]:
    archiver = status["archiver"]
    if archiver["mode"] is None:
        return "not known", "dim"
    if archiver["failing_since"]:
        return "FAILING since %s, %s files wait" % (
            archiver["failing_since"],
            number(archiver["ready_count"]),
        ), "critical"
    words = "WAL %s" % ago(archiver["last_archived_age_seconds"])
    words += ", %s waiting" % number(archiver["ready_count"]) if archiver["ready_count"] else ""
    for each in status["backup"]["repositories"]:
        if each["error"]:
            return "repository %s: %s" % (each["number"], each["error"]), "warning"
        if each["number"] != 1 and each["lag_seconds"] is not None:
            words += "; %s %s behind" % (each["type"], hours(each["lag_seconds"]))
    return words, ""


def partners(status: Status, width: int) -> list[Line]:
    """Replicas, slots, pool, alerts and the containers of the keeper and the pooler."""
    rows: list[tuple[str, str, str]] = []
    for each in status["replicas"]:
        lag = NOTHING if each["lag_bytes"] is None else human(each["lag_bytes"])
        words = "%s %s, %s behind" % (each["application"], each["state"], lag)
        rows.append(("replica", words, "" if each["state"] == "streaming" else "warning"))
    if status["replica_lag_seconds"] is not None:
        rows.append(("replica", "%s behind its primary" % hours(status["replica_lag_seconds"]), ""))
    if not rows:
        rows.append(("replicas", "none", "dim"))
    for each in status["slots"]:
        if not each["active"]:
            words = "%s idle, keeps %s of WAL" % (each["name"], human(each["retained_bytes"] or 0))
            rows.append(("slot", words, "warning"))
    pool = status["pool"]
    if pool is None:
        rows.append(("pool", "none", "dim"))
    elif not pool["up"]:
        rows.append(("pool", "DOWN", "critical"))
    else:
        counts = (number(pool["clients_active"]), number(pool["clients_waiting"]), number(pool["servers_active"]))
        rows.append(
            ("pool", "%s clients, %s wait, %s servers busy" % counts, "warning" if pool["clients_waiting"] else "")
        )
    alerts = status["alerts"]
    if alerts["failing"]:
        rows.append(("alerts", "NOT DELIVERED: %s" % ", ".join(str(each) for each in alerts["failing"]), "critical"))
    else:
        rows.append(("alerts", "%s delivered, %s wait" % (number(alerts["delivered"]), number(alerts["waiting"])), ""))
    for role in ("keeper", "pooler"):
        one = status["containers"][role]
        if one["state"] not in ("running", "absent") or (role == "keeper" and one["state"] == "absent"):
            rows.append((role, "container is %s" % one["state"], "critical"))
        elif one["health"] == "unhealthy":
            rows.append((role, "container is unhealthy", "critical"))
    # What is wrong first: a small screen shows the first rows only.
    rows.sort(key=lambda row: {"critical": 0, "warning": 1}.get(row[2], 2))
    return [cut([(" " + fit(title, 9), ""), (clean(words), style)], width) for title, words, style in rows]


def events(status: Status, width: int, most: int = 5) -> list[Line]:
    found: Sequence[Mapping[str, Any]] = status["events"]
    newest = sorted(found, key=lambda each: str(each["at"]), reverse=True)[:most]
    if not newest:
        return [cut([(" nothing happened yet", "dim")], width)]
    now = now_of(status)
    return [
        cut(
            [
                (" " + fit(clock(each["at"], now), 12), "dim"),
                (fit(each["kind"], 10), "" if each["severity"] == "info" else level_style(each["severity"])),
                (clean(each["text"]), "" if each["severity"] == "info" else level_style(each["severity"])),
            ],
            width,
        )
        for each in newest
    ]


def stale(age_seconds: Optional[float], interval_seconds: float) -> bool:
    return age_seconds is not None and age_seconds >= STALE_POLLS * interval_seconds
