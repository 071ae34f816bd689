# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of the command on the host as text for people. Private to the collection.

Short aligned lines. Colour only says again what a word says already, and only on a terminal.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Sequence, TextIO

from ._errors import PgkeepError
from ._times import hours
from ._units import human

_GOOD, _DOUBTFUL, _BAD = "32", "33", "31"
_COLOURS = {
    **dict.fromkeys(("healthy", "ok", "yes", "passed", "clean", "proven"), _GOOD),
    **dict.fromkeys(("warning", "unknown", "busy", "unfinished", "running"), _DOUBTFUL),
    **dict.fromkeys(("critical", "failed", "no", "interrupted", "unclean", "broken"), _BAD),
}
# What the lines of the monitor are painted with, by the style of its words.
PALETTE = {
    "healthy": _GOOD,
    "warning": _DOUBTFUL,
    "critical": "1;" + _BAD,
    "title": "1;4",
    "strong": "1",
    "dim": "2",
    "now": "36",
}
_NOTHING = "-"


@dataclass(frozen=True)
class Style:
    """Whether colour is wanted: on a terminal, unless NO_COLOR is set (https://no-color.org)."""

    colour: bool = False

    @staticmethod
    def of(stream: TextIO) -> Style:
        return Style(stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")

    def paint(self, shown: str) -> str:
        """shown, which may be padded, in the colour of its word."""
        code = _COLOURS.get(shown.strip()) if self.colour else None
        return "\x1b[%sm%s\x1b[0m" % (code, shown) if code else shown


def as_json(value: Any) -> str:
    """One line in ASCII: a terminal obeys some characters beyond it. Of those within it JSON leaves DEL as it is."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def error_lines(error: PgkeepError, style: Style) -> str:
    """what, why and next, a line each."""
    parts = (("error:", error.what), ("why:", error.why), ("next:", error.next_step))
    lines = ["%-7s%s" % (name, " ".join(words.split())) for name, words in parts if words]
    if style.colour:
        lines[0] = "\x1b[%sm%s\x1b[0m" % (_BAD, lines[0])
    return "".join(line + "\n" for line in lines)


def text(render: str, answer: Mapping[str, Any], style: Style) -> str:
    return _RENDERS[render](answer, style)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], style: Style) -> str:
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        padded = [value.ljust(width) for value, width in zip(row, widths)]
        # Nothing behind the last word: lines are copied into messages.
        padded[-1] = row[-1]
        lines.append("  ".join(style.paint(value) for value in padded).rstrip() + "\n")
    return "".join(lines)


def pairs(entries: Mapping[str, Any], style: Style) -> str:
    shown = {name: _cell(value) for name, value in entries.items() if value not in (None, [], "")}
    width = max((len(name) for name in shown), default=0)
    return "".join("%s  %s\n" % (name.ljust(width), style.paint(value)) for name, value in shown.items())


def _cell(value: Any) -> str:
    if value is None or value == "" or value == []:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(each) for each in value)
    return " ".join(str(value).split())


def _bullets(title: str, lines: Sequence[str]) -> str:
    return "\n%s\n%s" % (title, "".join("  - %s\n" % line for line in lines)) if lines else ""


def _list(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["instances"]
    if not found:
        return "There is no instance on this machine.\n"
    columns = ("name", "server", "keeper", "pooler", "ports")
    return table(
        ("INSTANCE", *(name.upper() for name in columns[1:])),
        [[each[name] for name in columns] for each in found],
        style,
    )


def _status(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["status"]
    up = found["uptime_seconds"]
    shown = {
        "instance": found["instance"],
        "status": found["status"],
        "accepts work": found["ready"],
        "server": found["server"],
        "keeper": found["keeper"],
        "pooler": found["pooler"],
        "version": "%s, %s" % (found["version"], found["role"]) if found["version"] else None,
        "up for": None if up is None else hours(up),
        "address": found["address"],
        "newest clean": found["newest_clean"] or "none",
        "newest proven": found["newest_proven"] or "none",
        "can restore": _window(found["recovery_window"]),
        "backup runs": found["backup_running"] or None,
        "deployed": found["release"],
    }
    return pairs(shown, style) + _bullets("Reasons", found["reasons"]) + _bullets("Next", found["hints"])


def _window(window: Optional[Mapping[str, str]]) -> str:
    return "%(from)s to %(to)s" % window if window else "nothing"


def _health(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["health"]
    rows = [(check["id"], check["status"], check["message"]) for check in found["checks"]]
    head = pairs({"instance": found["instance"], "status": found["status"], "accepts work": found["ready"]}, style)
    hints = list(dict.fromkeys(check["hint"] for check in found["checks"] if check["hint"]))
    return head + "\n" + table(("CHECK", "STATUS", "FINDING"), rows, style) + _bullets("Next", hints)


def _backup(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["backup"]
    if found is None:
        return "A backup would be taken: %s\n" % _cell(answer.get("plan"))
    shown = {
        "label": found["label"],
        "type": found["type"],
        "clean": found["clean"],
        "finished": found["stopped_at"],
        "size": human(found["size_bytes"]),
        "expired": answer.get("expired"),
    }
    return pairs(shown, style) + _bullets("Not clean, because", found.get("reasons") or [])


def _backups(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["backup_info"]
    rows = [
        (
            each["label"],
            each["type"],
            "proven" if each["proven_at"] and each["clean"] else "clean" if each["clean"] else "unclean",
            each["stopped_at"],
            human(each["size_bytes"]),
            "; ".join(each["reasons"]) or None,
        )
        for each in found["backups"]
    ]
    shown = {
        "instance": found["instance"],
        "repository": found["status_text"] if found["status"] == "error" else found["status"],
        "used": human(found["repository_bytes"]),
        "free": None if found["repository_free_bytes"] is None else human(found["repository_free_bytes"]),
        "can restore": _window(found["recovery_window"]),
        "missing WAL": found["wal"]["missing"],
        # A keeper from before tells no cause.
        "archiving": found["wal"].get("cause") or found["wal"]["error"],
        "backup runs": found["running"] or None,
    }
    listed = table(("LABEL", "TYPE", "STATE", "FINISHED", "SIZE", "REASONS"), rows, style) if rows else "No backup.\n"
    return pairs(shown, style) + "\n" + listed + _repositories(found.get("repositories") or (), style)


def _repositories(found: Sequence[Mapping[str, Any]], style: Style) -> str:
    """Nothing where there is only the one that all of the above is about."""
    rows = [
        (
            str(each["number"]),
            each["type"],
            each["newest_clean"],
            each.get("proven_at") or "never",
            each["error"] or (each["status_text"] if each["status"] == "error" else None),
        )
        for each in found
    ]
    if len(rows) < 2:
        return ""
    return "\n" + table(("REPOSITORY", "TYPE", "NEWEST CLEAN", "PROVEN", "TROUBLE"), rows, style)


def _drill(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["drill"]
    shown = {
        "backup": found["label"],
        "repository": None if found["repository"] == 1 else found["repository"],
        "result": "passed" if found["passed"] else "failed",
        "restored in": None if found["rto_seconds"] is None else "%.1f s" % found["rto_seconds"],
        "last row safe after": None if found["rpo_seconds"] is None else "%.1f s" % found["rpo_seconds"],
        "rows": found["rows"],
        "databases": found["databases"],
    }
    rows = [(each["id"], "passed" if each["passed"] else "failed", each["detail"]) for each in found["checks"]]
    return pairs(shown, style) + "\n" + table(("CHECK", "RESULT", "FINDING"), rows, style)


def _restore(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["restore"]
    interruption = found["interruption_seconds"]
    shown = {
        "instance": found["instance"],
        "target": found["target"],
        "backup": found["label"],
        "reached": found["reached_time"],
        "interruption": None if interruption is None else "%.1f s" % interruption,
        "lost": _span(found.get("lost")),
        "old data": found["previous_data"],
    }
    undo = [found["undo"]] if found["undo"] else []
    rows = [
        (each["kind"], each["name"], each["target"], each["reached_time"], each["expires_at"], each["psql"])
        for each in found.get("copies") or ()
    ]
    copies = "\n" + table(("COPY", "NAME", "TARGET", "REACHED", "ENDS", "LOOK AT IT"), rows, style) if rows else ""
    return pairs(shown, style) + _bullets("Steps", found["steps"]) + copies + _bullets("The way back", undo)


def _span(lost: Optional[Mapping[str, Any]]) -> Optional[str]:
    return "what was committed from %(from)s to %(to)s" % lost if lost else None


def _restart(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["restart"]
    served = found["interruption_seconds"] is not None
    seconds = "%.1f s" % (found["interruption_seconds"] if served else found["start_seconds"])
    shown = {
        "instance": found["instance"],
        "accepts work": True,
        "interruption" if served else "started in": seconds,
        "version": "%(version)s, %(role)s" % found,
    }
    return pairs(shown, style)


def _releases(answer: Mapping[str, Any], style: Style) -> str:
    rows = [
        (
            each["name"],
            each["current"],
            each["major"],
            # As docker images shows it.
            each["image"].removeprefix("sha256:")[:12],
            human(each["memory_bytes"]),
            "%d ms" % each["interruption_ms"],
            each["restore_point"],
        )
        for each in answer["releases"]
    ]
    header = ("RELEASE", "IN FORCE", "MAJOR", "IMAGE", "MEMORY", "INTERRUPTED", "THE MOMENT BEFORE")
    return table(header, rows, style) if rows else "No release.\n"


def _rollback(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["instance"]
    shown = {
        "instance": found["name"],
        "accepts work": found["running"],
        "release": found["release"],
        "interruption": "%d ms" % found["interruption_ms"],
        "restore point": found["restore_point"],
    }
    steps = ["%(action)s %(target)s: %(reason)s" % step for step in found["plan"]]
    gates = ["%(gate)s: %(measured)s" % gate for gate in found["gates"]]
    return pairs(shown, style) + _bullets("Steps", steps) + _bullets("Gates", gates)


def _free(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["free"]
    lines = ["%s (%s)" % (each["path"], human(each["size_bytes"])) for each in found["directories"]]
    lines += found["leftovers"] + ["backup " + label for label in found["backups"]]
    head = "%s: %s\n" % (found["instance"], human(found["freed_bytes"]) if lines else "there is nothing to give back")
    wrong = [found["error"]] if found["error"] else []
    return head + "".join("  - %s\n" % line for line in lines) + _bullets("Old backups could not be removed", wrong)


def _audit(answer: Mapping[str, Any], style: Style) -> str:
    if "audit_verify" in answer:
        return _audit_verify(answer["audit_verify"], style)
    rows = [
        (each["at"], each["actor"], each["action"], each["result"], _seconds(each["duration_seconds"]), _about(each))
        for each in answer["audit"]
    ]
    if not rows:
        return "Nothing is recorded.\n"
    return table(("AT", "WHO", "WHAT", "RESULT", "TOOK", "ABOUT"), rows, style)


def _audit_verify(found: Mapping[str, Any], style: Style) -> str:
    broken = found["broken"]
    shown = {
        "instance": found["instance"],
        "chain": "ok" if broken is None else "broken",
        "records": found["records"],
        "last hash": found["head"],
    }
    where = []
    if broken is not None:
        where = ["line %d does not follow from the line before it: one of the two was changed, or lines between them "
                 "were taken out, or a crash cut it" % broken]  # fmt: skip
    open_ = ["%(at)s %(action)s by %(actor)s" % each for each in found["unfinished"]]
    return pairs(shown, style) + _bullets("Broken", where) + _bullets("Begun and not ended", open_)


def _seconds(value: Optional[float]) -> str:
    return _NOTHING if value is None else "%.1f s" % value


def _about(operation: Mapping[str, Any]) -> str:
    """The error, or the parameters; one line of what may be long."""
    error = operation["error"]
    if error:
        words = "%s: %s" % (error.get("what"), error.get("why"))
    else:
        words = ", ".join("%s=%s" % (name, _cell(value)) for name, value in (operation["parameters"] or {}).items())
    words = " ".join(words.split())
    return words if len(words) <= 100 else words[:97] + "..."


def _maintenance(answer: Mapping[str, Any], style: Style) -> str:
    found = answer["maintenance"]
    if found is None:
        return "Nobody works on it.\n"
    return pairs({name: found[name] for name in ("reason", "who", "since", "until")}, style)


def _any(answer: Mapping[str, Any], style: Style) -> str:
    """An object whose shape is not known here: lists of objects as tables, the rest as pairs."""
    parts = []
    for name, value in answer.items():
        if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            columns = list(
                dict.fromkeys(key for each in value for key in each if not isinstance(each[key], (dict, list)))
            )
            parts.append(table([key.upper() for key in columns], [[e.get(k) for k in columns] for e in value], style))
        elif isinstance(value, Mapping):
            parts.append(_any(value, style))
        else:
            parts.append(pairs({name: value}, style))
    return "".join(parts)


_RENDERS: Mapping[str, Callable[[Mapping[str, Any], Style], str]] = {
    "any": _any,
    "audit": _audit,
    "backup": _backup,
    "backups": _backups,
    "drill": _drill,
    "free": _free,
    "health": _health,
    "list": _list,
    "maintenance": _maintenance,
    "releases": _releases,
    "restart": _restart,
    "restore": _restore,
    "rollback": _rollback,
    "status": _status,
}
