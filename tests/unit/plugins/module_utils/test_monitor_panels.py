# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the monitor as text: what they say, that they fit, that nothing in them steers a terminal."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _monitor_draw as draw
from ansible_collections.pgkeep.postgres.plugins.module_utils import _monitor_panels as panels
from ansible_collections.pgkeep.postgres.plugins.module_utils._board import present
from ansible_collections.pgkeep.postgres.plugins.module_utils._monitor import page

from .monitor_case import HOSTILE, NOW, container, seen

ALL = (
    panels.verdict,
    panels.checks,
    panels.others,
    panels.load,
    panels.transactions,
    panels.storage,
    panels.backup,
    panels.partners,
    panels.events,
)


def shown(lines):
    return "\n".join(draw.plain(line) for line in lines)


@pytest.fixture
def found(tmp_path, monkeypatch):
    return seen(tmp_path, monkeypatch)


def hostile(value):
    """The same object with words that would like to steer the terminal wherever there is a word."""
    if isinstance(value, dict):
        return {key: value[key] if key in ("at", "status", "severity", "id") else hostile(value[key]) for key in value}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return value + HOSTILE if isinstance(value, str) and not value[:4].isdigit() else value


def test_the_verdict_says_what_and_why(found):
    lines = panels.verdict(found, 100, 1.8).copy()
    assert shown(lines).splitlines() == [
        " ▲ WARNING   app  production · primary · PostgreSQL 17.12 · up 85 min                   data 2 s old",
        "   disk_data: 75.2 % used, 24.8 GB free, full in about 44 days",
    ]
    found["reasons"] += ["two", "three", "four"]
    assert shown(panels.verdict(found, 100)[1:]).splitlines()[1] == "   two  (and 2 more)"
    assert "STALE 12 s" in shown(panels.verdict(found, 100, 12.0, "STALE 12 s"))


def test_not_ready_and_maintenance_are_words(found):
    assert "NOT READY" in shown(panels.verdict({**found, "ready": False}, 100))
    work = {"reason": "deploy", "since": "2026-11-24T10:00:00Z", "until": "2026-11-24T10:10:00Z"}
    assert "in maintenance: deploy" in shown(panels.verdict({**found, "maintenance": work}, 120))


def test_the_five_checks(found):
    lines = shown(panels.checks(found, 49)).splitlines()
    assert [line.split()[1] for line in lines] == ["database", "container", "disk", "restarts", "response"]
    assert lines[2] == " ▲ disk            75.2 % ██████░░ 70|85   18 min"
    # The worst volume is shown, whichever that is.
    worse = {"status": "critical", "value": 91.5}
    found["checks"] = [{**each, **(worse if each["id"] == "disk_repository" else {})} for each in found["checks"]]
    assert shown(panels.checks(found, 49)).splitlines()[2].startswith(" ✖ disk            91.5 % ███████░ 70|85")


def test_who_holds_whom_up(found):
    first, second = shown(panels.transactions(found, 100)).splitlines()[1:3]
    assert first.split()[:7] == ["71", "shop", "shop", "active", "12", "s", "transaction…"]
    assert first.split()[7] == "64"
    assert "idle in tx" in second
    assert "1 blocked" in shown(panels.load(found, 60))


def test_storage_backup_partners_events(found):
    assert " data       ███░ 75 %  23.1 GB   +536.9 MB 44 d" in shown(panels.storage(found, 49))
    told = shown(panels.backup(found, 49))
    assert "newest   full, 9 h ago, 13.2 GB" in told
    assert "running  backup █████░░░░░░░ 42 %" in told
    assert "RTO 1.5 s, RPO 0.0 s" in told
    assert "s3 31 s behind" in told
    assert "app-b streaming, 8 kB behind" in shown(panels.partners(found, 49))
    assert shown(panels.events(found, 60)).splitlines()[0].split()[:2] == ["09:41", "check"]


def test_a_bad_state_comes_first_and_in_words(found, tmp_path, monkeypatch):
    found["archiver"] = {**found["archiver"], "failing_since": "2026-11-24T09:00:00Z", "ready_count": 7}
    assert "FAILING since 2026-11-24T09:00:00Z, 7 files wait" in shown(panels.backup(found, 80))
    found["pool"] = {**found["pool"], "up": False}
    found["alerts"] = {**found["alerts"], "failing": ["mail"]}
    found["containers"]["keeper"] = {"state": "exited", "health": None, "restarts": 0, "started_at": None}
    first = shown(panels.partners(found, 80)).splitlines()[:3]
    assert [line.split()[0] for line in first] == ["pool", "alerts", "keeper"]
    never = {**found, "backup": {**found["backup"], "newest": None, "running": None, "drill": None}}
    assert "NONE" in shown(panels.backup(never, 80))
    assert "never: nothing is proven" in shown(panels.backup(never, 80))


@pytest.mark.parametrize("width", [20, 40, 49, 80, 160])
@pytest.mark.parametrize("case", ["recorded", "hostile", "empty", "silent"])
def test_every_panel_fits_and_steers_nothing(tmp_path, monkeypatch, width, case):
    found = seen(tmp_path, monkeypatch)
    if case == "hostile":
        found = hostile(copy.deepcopy(found))
    elif case == "empty":
        found = {**present(None, NOW, 5.0), "containers": found["containers"], "silent": None}
    elif case == "silent":
        found = seen(tmp_path, monkeypatch, lambda url, token: "", container("app"))
    for panel in ALL:
        for line in panel(found, width):
            words = "".join(part for part, _style in line)
            assert draw.cells(words) <= width or panel is panels.verdict, panel
            assert words.isprintable()
            assert {style for _words, style in line} <= {*draw.STYLES, ""}
    assert all(draw.plain(line).isprintable() for line in page(found, width))


def test_words_and_columns():
    assert draw.clean(HOSTILE) == "[2J ]0;owned [bold red]x[/] gnp.exe next line 日本"
    assert draw.fit("日本語", 5) == "日本…"
    assert draw.fit(None, 3) == "-  "
    assert draw.fit("12", 4, right=True) == "  12"
    assert draw.cells("e\u0301") == 1
    assert draw.cut([(" ab", "x"), ("  cdef", "y")], 6) == [(" ab", "x"), ("  …", "y")]
    assert draw.wrapped("one two three four", 8, 2) == ["one two", "three f…"]


def test_bars_and_sparks():
    assert [draw.gauge(value, 4) for value in (None, 0, 50, 250, -3)] == ["    ", "░░░░", "██░░", "████", "░░░░"]
    assert draw.spark([None, 0.0, 7.0], 4) == "  ▁█"
    assert draw.spark([3.0, 3.0], 2) == "▁▁"
    # More values than columns: none is left out.
    assert draw.spark([0.0, 0.0, None, 4.0], 2) == "▁█"
    assert draw.spark([], 3) == "   "
    assert draw.spark([1.0], 0) == ""
