# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The views 2 and 3 of the monitor: sessions, storage and backups. Private to the collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from . import _monitor_panels as panels
from ._monitor_dialogs import text
from ._monitor_draw import NOTHING, Line, clean, cut, fit, number, span_of, wrapped
from ._monitor_panels import state_of
from ._units import human

if TYPE_CHECKING:
    from rich.text import Text

# Name -> columns of the terminal; the query takes what is left of the line.
COLUMNS = {"PID": 7, "FOR": 8, "STATE": 12, "USER": 12, "DATABASE": 12, "WAITS": 18, "BY": 8, "QUERY": 160}


def row_of(session: Mapping[str, Any]) -> list[Text]:
    """One session, what waits for another one in a colour."""
    blockers = ", ".join(str(pid) for pid in session["blocked_by"])
    style = "warning" if blockers else ""
    values = (
        str(session["pid"]),
        span_of(session["seconds"]),
        state_of(session),
        clean(session["user"] or NOTHING),
        clean(session["database"] or NOTHING),
        clean(session["wait"] or NOTHING),
        blockers,
        clean(session["query"] or "")[:160],
    )
    return [text([[(value, style)]]) for value in values]


def told(session: Mapping[str, Any], width: int) -> Text:
    """Who it is, and its whole query as far as there is room."""
    names = (
        session["application"],
        "from %s" % (session["client"] or "the socket"),
        "since %s" % session["began"][:19],
    )
    lines: list[Line] = [[(" · ".join(clean(name) for name in names if name), "dim")]]
    return text([*lines, *([(line, "")] for line in wrapped(session["query"] or "", max(width, 10), 3))])


def stores(status: Mapping[str, Any], width: int) -> list[Line]:
    """Volumes, databases, backups, repositories, and every check with its hint."""
    lines: list[Line] = []
    for title, shown in (
        ("Volumes", panels.storage(status, width)),
        ("Databases", _databases(status, width)),
        ("Backup", panels.backup(status, width)),
        ("Repositories", _repositories(status, width)),
        ("Slowest statements", _statements(status, width)),
        ("Other checks", panels.others(status, width)),
    ):
        lines += [[(title, "title")], *(shown or [[(" nothing is known", "dim")]]), []]
    return lines


def _databases(status: Mapping[str, Any], width: int) -> list[Line]:
    largest = sorted(status["databases"], key=lambda each: -(each["size_bytes"] or 0))[:10]
    return [
        cut([(" " + fit(each["name"], 32), ""), (fit(human(each["size_bytes"] or 0), 12, right=True), "strong")], width)
        for each in largest
    ]


def _repositories(status: Mapping[str, Any], width: int) -> list[Line]:
    lines = []
    for each in status["backup"]["repositories"]:
        lag = each["lag_seconds"]
        words = clean(each["error"]) if each["error"] else "" if lag is None else "%s behind" % span_of(lag)
        head = " " + fit("%s %s" % (each["number"], each["type"]), 32)
        lines.append(cut([(head, ""), (words, "critical" if each["error"] else "")], width))
    return lines


def _statements(status: Mapping[str, Any], width: int) -> list[Line]:
    return [
        cut(
            [
                (fit(number(each["mean_ms"], 1, "ms"), 14, right=True) + "  ", "strong"),
                (fit(number(each["calls"]) + " calls", 18) + " ", "dim"),
                (clean(each["query"] or ""), ""),
            ],
            width,
        )
        for each in status["statements"]
    ]
