# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins of the poller: kept and fresh ones, what an error means, and when the server is left alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_link as link
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_login as poll_login
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

END = time.monotonic() + 1000


class Broken(Exception):
    """As psycopg2 raises it."""


class FakeLink:
    """error is raised by what is in fails."""

    def __init__(self) -> None:
        self.is_open = False
        self.opened: list[dict[str, Any]] = []
        self.fails: set[str] = set()
        self.error: Exception = Broken("connection refused")

    def open(self, end: float, **parameters: Any) -> float:
        self.is_open = False
        self.opened.append(parameters)
        if "open" in self.fails:
            raise self.error
        self.is_open = True
        return 20.0

    def ask(self, statement: str, end: float) -> tuple[list[Any], float]:
        if "ask" in self.fails:
            self.is_open = False
            raise self.error
        return [(1,)], 0.25

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    (tmp_path / "hosts").write_text("172.18.0.5\tapp\n")
    (tmp_path / "monitor.password").write_text("geheim\n")
    return Keeper("app", run, "", sockets=str(tmp_path), config=str(tmp_path))


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> FakeLink:
    fake = FakeLink()
    monkeypatch.setattr(poll_login, "Link", lambda: fake)
    monkeypatch.setattr(poll_login, "_failures", lambda: (link.Silent, Broken))
    return fake


def test_a_login_is_kept_and_made_anew_every_15_seconds(
    keeper: Keeper, faked: FakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(poll_login.time, "monotonic", lambda: now[0])
    prober = poll_login.Prober()
    for second in range(0, 46, 5):
        now[0] = 1000.0 + second
        found = prober.probe(keeper, now[0], END, "same")
        assert (found.state, found.response_ms, found.connect_ms) == (None, 0.25, 20.0)
    assert len(faked.opened) == 4
    parameters = faked.opened[0]
    assert (parameters["host"], parameters["hostaddr"], parameters["user"]) == ("app", "172.18.0.5", "pgkeep_monitor")
    assert (parameters["sslmode"], parameters["password"]) == ("verify-full", "geheim")


def test_a_kept_login_that_fails_is_replaced_at_once(keeper: Keeper, faked: FakeLink) -> None:
    prober = poll_login.Prober()
    prober.probe(keeper, 0.0, END, "same")
    faked.is_open = False
    assert prober.probe(keeper, 5.0, END, "same").state is None
    assert len(faked.opened) == 2


def test_after_five_failures_it_is_left_alone_until_something_changes(keeper: Keeper, faked: FakeLink) -> None:
    prober = poll_login.Prober()
    faked.fails, faked.error = {"open"}, Broken('FATAL:  password authentication failed for user "x"')
    found = [prober.probe(keeper, 5.0 * number, END, "same") for number in range(8)]
    assert {each.state for each in found} == {link.REFUSED}
    assert [each.tried for each in found] == [True] * 5 + [False] * 3
    assert len(faked.opened) == 5
    faked.fails = set()
    assert prober.probe(keeper, 41.0, END, "the server began anew").state is None
    assert prober.breaker.state == "half_open"
    prober.probe(keeper, 42.0, END, "the server began anew")
    assert prober.breaker.state == "closed"


def test_a_new_password_is_tried_at_once(keeper: Keeper, faked: FakeLink) -> None:
    import os

    prober = poll_login.Prober()
    faked.fails = {"open"}
    for number in range(6):
        prober.probe(keeper, 5.0 * number, END, "same")
    os.utime(keeper.config + "/monitor.password", (1, 1))
    assert prober.probe(keeper, 30.0, END, "same").tried
    assert len(faked.opened) == 6


def test_a_server_that_is_not_there_is_not_asked_over_the_network(keeper: Keeper, faked: FakeLink) -> None:
    prober = poll_login.Prober()
    for number in range(6):
        found = prober.not_there(5.0 * number, "down", keeper, link.STOPPED, "no such file")
    assert (found.state, found.tried, faked.opened) == (link.STOPPED, False, [])
    assert (prober.breaker.state, prober.breaker.failures) == ("open", 5)
    assert prober.probe(keeper, 31.0, END, "up").state is None


def test_without_an_address_or_a_password_it_says_so(keeper: Keeper, faked: FakeLink) -> None:
    Path(keeper.sockets, "hosts").write_text("")
    found = poll_login.Prober().probe(keeper, 0.0, END, "same")
    assert found.state == link.UNREACHABLE
    assert found.words.startswith("The address of app is not known")
    with pytest.raises(PgkeepError):
        poll_login.address_of(keeper)


@pytest.mark.parametrize(
    "words, state",
    [
        ('connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory', link.STOPPED),
        ('connection to server on socket "/x/.s.PGSQL.5432" failed: Connection refused', link.DEAD),
        ("FATAL:  the database system is starting up", link.STARTING),
        ("FATAL:  the database system is in recovery mode", link.STARTING),
        ("FATAL:  the database system is not yet accepting connections DETAIL:  Consistent", link.STARTING),
        ("FATAL:  the database system is shutting down", link.STOPPING),
        ("FATAL:  terminating connection due to administrator command", link.STOPPING),
        ("FATAL:  sorry, too many clients already", link.FULL),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", link.FULL),
        ('FATAL:  password authentication failed for user "pgkeep_monitor"', link.REFUSED),
        ('FATAL:  no pg_hba.conf entry for host "172.18.0.3", user "x", database "postgres"', link.REFUSED),
        ("SSL error: certificate verify failed", link.UNTRUSTED),
        ("Resource temporarily unavailable", link.HUNG),
        ("canceling statement due to statement timeout", link.HUNG),
        ("something else", link.UNREACHABLE),
    ],
)
def test_what_an_error_means(words: str, state: str) -> None:
    assert link.state_of(Broken(words)) == state
    assert link.state_of(link.Silent("no answer")) == link.HUNG


def test_words_for_people_have_no_addresses() -> None:
    error = Broken('connection to server at "app" (172.18.0.5), port 5432 failed: FATAL:  sorry,\n too many clients\n')
    assert link.words_of(error) == "sorry, too many clients"
