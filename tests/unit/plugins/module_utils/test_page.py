# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as a browser gets it, for good days, bad days, and for keepers that know nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _page as page
from ansible_collections.pgkeep.postgres.plugins.module_utils._board import present
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .recorded import changed

SNAPSHOT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/keeper/status.json").read_text())
TAKEN = SNAPSHOT["taken_at"]
FRESH = present(SNAPSHOT, TAKEN + 1.84, 5.0)
STALE = present(SNAPSHOT, TAKEN + 23, 5.0)
NOTHING = present(None, TAKEN, 5.0)
GOOD = {**FRESH, "status": "healthy", "reasons": [], "checks": [{**c, "status": "healthy"} for c in FRESH["checks"]]}

VOID = {"meta", "link", "br"}
HOSTILE = "<script>alert(1)</script>\"'`&{{ 7*7 }}{% raw %}\u202etxt\u202c \x00\x1b[31m مرحبا 🐘 \ud800 " + "x" * 10_000
# Where words come from outside; one letter would be cut before it could do harm.
OUTSIDE = [
    *("instance.name", "instance.environment", "instance.pg_version", "instance.role", "version", "xid_age.database"),
    *("checks.0.value", "checks.3.id", "checks.3.message", "checks.3.hint", "checks.3.unit", "reasons"),
    *("sessions.longest.0.%s" % key for key in ("user", "database", "application", "client", "state", "wait", "query")),
    *("sessions.longest.0.pid", "sessions.longest.0.blocked_by", "databases.0.name", "storage.0.id"),
    *("backup.newest.label", "backup.newest.type", "backup.newest.proven_at", "backup.running.operation"),
    *("backup.last_run.job", "backup.drill.result", "backup.repositories.0.type", "backup.repositories.0.error"),
    *("replicas.0.application", "replicas.0.state", "slots.0.name", "certificates.0.of", "settings.pending_restart"),
    *("events.0.text", "events.0.kind", "events.0.at", "events.0.severity", "time"),
]

LISTS = ("reasons", "sessions.longest.0.blocked_by", "settings.pending_restart")


class Markup(HTMLParser):
    """Complains about what a browser would silently repair."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, Optional[str]]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        assert len(dict(attrs)) == len(attrs), "an attribute is there twice: %s %s" % (tag, attrs)
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, "</%s> closes nothing" % tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").replace("\u202f", " ").split())

    def all(self, tag: str) -> list[dict[str, Optional[str]]]:
        return [attrs for name, attrs in self.seen if name == tag]


def text(status: dict[str, Any]) -> str:
    return Markup(page.render(status)).text


def order(words: str, *parts: str) -> None:
    """Each part behind the one before it."""
    place = 0
    for part in parts:
        place = words.find(part, place)
        assert place >= 0, part


@pytest.mark.parametrize(
    "status", [FRESH, GOOD, STALE, NOTHING, {}], ids=["fresh", "good", "stale", "nothing", "empty"]
)
def test_it_is_well_formed_whole_in_itself_and_can_be_navigated(status):
    html = page.render(status)
    markup = Markup(html)
    assert html.startswith("<!DOCTYPE html>")
    ids = [attrs["id"] for _tag, attrs in markup.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _tag, attrs in markup.seen:
        assert set((attrs.get("aria-labelledby") or "").split()) <= set(ids)
        assert not {name for name in attrs if name == "style" or name.startswith("on")}
        for name in ("src", "href"):
            assert (attrs.get(name) or "#").startswith(("#", "/", "?", "data:image/svg+xml,"))
    assert "script" not in [tag for tag, _attrs in markup.seen]
    for tag in ("header", "main", "footer", "h1"):
        assert len(markup.all(tag)) == 1
    assert all(attrs.get("aria-labelledby") for attrs in markup.all("section"))
    assert all(attrs.get("scope") for attrs in markup.all("th"))
    # A symbol is for eyes, and a picture that tells something tells it to ears too.
    assert all(
        attrs.get("aria-hidden") == "true"
        or (attrs.get("role") == "img" and (attrs.keys() & {"aria-label", "aria-labelledby"}))
        for attrs in markup.all("svg")
    )


def test_the_policy_names_this_style_and_nothing_else():
    style = re.search("<style>(.*)</style>", page.render(FRESH), re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert "default-src 'none'; style-src 'sha256-%s';" % digest in page.CONTENT_SECURITY_POLICY
    assert "unsafe" not in page.CONTENT_SECURITY_POLICY


def test_everything_that_people_ask_for_is_there_in_this_order():
    order(
        text(FRESH),
        *("app production", "primary", "PostgreSQL 17.12", "up 1 h 25 min", "data 1.8 s old"),
        *("Warning", "One thing needs attention.", "Ready for traffic: yes"),
        *("Data disk", "75.2 % used, 24.8 GB free", "for 18 min", "What to do: free space or extend the volume"),
        *("Database healthy accepting", "Server memory healthy 61.3 %", "Data disk warning 75.2 %"),
        *("warn ≥ 70 %, critical ≥ 85 %", "Restarts healthy 0", "Response time healthy 0.2 ms"),
        *("healthy: Connections 9 %", "healthy: Repository disk 41 %", "unknown: Alerts unknown"),
        *("9 of 100 sessions", "active 2", "idle in transaction 1", "idle 5", "blocked warning: 1"),
        *("Transactions 123 /s", "53.9 to 140 in 1 h", "Cache hits 99.8 %", "Rolled back 1 %", "WAL 117.2 kB/s"),
        *("15 s pid 64", "12 s pid 71", "web · 172.18.0.1", "blocked by 64", "Lock/transactionid", "UPDATE stock SET"),
        *("3.1 s pid 80", "psql · local socket"),
        *("data warning", "75.2 % of 93.1 GB", "23.1 GB", "536.9 MB", "44 d", "shop 57 GB, postgres 7.4 MB"),
        *(
            "Backup running for 5 s 42 %",
            "full, 9 h 30 min old",
            "57.1 GB, 13.2 GB stored",
            "Proven healthy: 8 h 20 min",
        ),
        *("Last run healthy: backup ok", "Next backup in 14 h 25 Nov 00:30 UTC", "RTO 1.5 s · RPO 0 s", "in 6 d 15 h"),
        *("Repository 1 healthy: posix up to date", "s3 31 s behind", "Archiving healthy: works 0 waiting"),
        *("Pool healthy: 12 clients 2 servers busy", "app-b healthy: streaming 0.1 s · 8 kB behind", "Slot warehouse"),
        *(
            "Server healthy: 812 d left until 13 Feb 2029",
            "Waiting 0",
            "Delivered 4",
            "Path proven healthy: 4 d 1 h ago",
        ),
        *("Wraparound < 0.1 % shop", "Checksum failures 0", "Wait for a restart warning: shared_buffers"),
        *(
            "18 min ago",
            "check",
            "disk_data: healthy -> warning",
            "restart",
            "the server was restarted",
            "pgkeep 0.2.0",
        ),
    )


def test_a_good_day_says_what_the_backup_is_worth():
    words = text(GOOD)
    assert "Healthy All checks are good. The newest backup is 9 h 30 min old and proven by restoring it." in words
    assert "✓ app: healthy" in words
    unproven = changed(GOOD, "backup.newest.proven_at", None)
    assert "9 h 30 min old and not proven yet." in text(unproven)
    assert "All checks are good; there is no backup yet." in text(changed(GOOD, "backup.newest", None))


def test_a_bad_day_begins_with_the_worst_and_says_everything_once():
    status = changed(FRESH, "checks.0.status", "critical")
    status |= {
        "status": "critical",
        "ready": False,
        "maintenance": {"reason": "deploy", "since": "2026-11-24T09:59:00Z"},
        "reasons_not_ready": ["database: login and SELECT 1 as pgkeep_monitor", "maintenance: deploy"],
    }
    words = text(status)
    order(words, "Critical 3 things need attention.", "Ready for traffic: no", "Database login", "Data disk 75.2 %")
    assert words.count("Maintenance: deploy") == 2
    assert "Maintenance: deploy since 24 Nov 09:59 UTC." in words
    assert "database: login" not in words


def test_old_data_are_not_green():
    markup = Markup(page.render(STALE))
    words = markup.text
    assert "Critical: the data is 23 s old The keeper has not been able to look since." in words
    assert "✕ app: no fresh data" in words
    assert "data 23 s old" in words
    assert "was healthy" in words
    assert not re.search("(?<!was )healthy accepting", words)
    assert markup.all("body") == [{"class": "stale"}]
    assert "docker logs of the keeper" in words


def test_a_keeper_that_has_seen_nothing_says_so_and_shows_no_zero():
    words = text(NOTHING)
    assert "Critical: no data yet" in words
    body = words.partition("Checks")[2].partition("pgkeep unknown")[0]
    assert not re.search(r"\d|none\b(?! is known)|never|healthy", body.replace("in 1 h", ""))
    assert body.count("unknown") > 25


@pytest.mark.parametrize("value", [None, [], "words", 7, [None, 7, "x"], {"x": [1]}], ids=repr)
def test_every_part_may_be_something_else(value):
    for key in FRESH:
        assert "Last events" in page.render({**FRESH, key: value}), key
    Markup(page.render(dict.fromkeys(FRESH, value)))


def test_every_part_may_be_missing():
    for gone in FRESH:
        assert "Last events" in page.render({key: value for key, value in FRESH.items() if key != gone}), gone


def emptied(value: Any) -> Any:
    """The same shape without a value."""
    if isinstance(value, dict):
        return {key: emptied(each) for key, each in value.items()}
    return [emptied(each) for each in value] if isinstance(value, list) else None


def test_every_value_within_a_part_may_be_null():
    for key in SNAPSHOT:
        assert "None" not in page.render({**FRESH, key: emptied(FRESH[key])}), key


def test_all_values_at_once_may_be_null():
    assert "None" not in text({**emptied(SNAPSHOT), "time": FRESH["time"], "live": True, "snapshot_age_ms": 5})


@pytest.mark.parametrize("path", OUTSIDE)
def test_words_of_others_are_escaped_and_cut(path):
    usual = page.render(FRESH)
    html = page.render(changed(FRESH, path, [HOSTILE] * 9 if path in LISTS else HOSTILE))
    html.encode("utf-8")
    assert "script" not in [tag for tag, _attrs in Markup(html).seen]
    assert "<script" not in html
    assert not re.search("[\x00\x1b\u202e]", html)
    # A name in several places, and no more than a line of each.
    assert len(html) < len(usual) + 4000


def test_who_wants_to_read_in_peace_can_stop_the_page():
    assert {"http-equiv": "refresh", "content": "5"} in Markup(page.render(FRESH)).all("meta")
    still = Markup(page.render(FRESH, 0))
    assert not [attrs for attrs in still.all("meta") if "http-equiv" in attrs]
    assert {"href": "?"} in still.all("a")
    assert [page.refresh_seconds(query) for query in ({}, {"refresh": "5"}, {"refresh": "0"})] == [5, 5, 0]


@pytest.mark.parametrize("query", [{"refresh": "1"}, {"refresh": ""}, {"refesh": "0"}])
def test_a_question_that_means_nothing_is_refused(query):
    with pytest.raises(PgkeepError, match="The question cannot be answered"):
        page.refresh_seconds(query)


def test_volumes_of_one_disk_are_one_line():
    twin = {**FRESH["storage"][0], "id": "spool"}
    lone = {"id": "dumps"}
    status = {**FRESH, "storage": [*FRESH["storage"], twin, lone, {**lone, "id": "scratch"}]}
    words = text(status)
    assert words.count("75.2 % of 93.1 GB") == 1
    order(
        words,
        "data warning",
        "75.2 % of 93.1 GB",
        "on the same disk: spool",
        "repository",
        "dumps unknown of unknown",
        "scratch",
    )
