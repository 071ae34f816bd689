# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's look at the pooler: what it keeps open, what it makes of every silence, and what it never does."""

from __future__ import annotations

import csv
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_link as link
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_pool as poll_pool
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._health_pooler import pooler as judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._pooler_reader import password
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

from .recorded import FIXTURES


class Broken(Exception):
    """As psycopg2 raises it."""


class Driver:
    Error = Broken


def recorded(statement: str) -> list[dict[str, str]]:
    with open(FIXTURES / "pgbouncer" / (statement.split()[1].lower() + ".csv"), encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def meet(trouble: Any) -> None:
    if isinstance(trouble, Exception):
        raise trouble


class Pooler:
    """A pooler to whoever opens a link; console and through are what these meet instead of an answer."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.opened: list[dict[str, Any]] = []
        self.links: list[Door] = []
        self.console: Any = None
        self.through: Any = None
        self.name: Any = "172.18.0.9"
        self.looked_up = 0

    def link(self) -> Door:
        self.links.append(Door(self))
        return self.links[-1]

    def address_of(self, host: str) -> str:
        assert host == "app-pooler"
        self.looked_up += 1
        meet(self.name)
        return str(self.name)

    def met(self, database: str) -> None:
        meet(self.console if database == "pgbouncer" else self.through)


class Door:
    def __init__(self, pooler: Pooler) -> None:
        self.pooler = pooler
        self.database = ""

    @property
    def is_open(self) -> bool:
        return bool(self.database)

    def open(self, end: float, **parameters: Any) -> float:
        self.close()
        self.pooler.opened.append(parameters)
        self.pooler.met(parameters["dbname"])
        self.database = parameters["dbname"]
        return 20.0

    def table(self, statement: str, end: float) -> list[dict[str, str]]:
        try:
            self.pooler.met(self.database)
        except Exception:
            self.close()
            raise
        return recorded(statement)

    def ask(self, statement: str, end: float) -> tuple[list[Any], float]:
        return [(1,)], 0.25

    def close(self) -> None:
        self.database = ""


@pytest.fixture
def pooler(monkeypatch: pytest.MonkeyPatch) -> Pooler:
    found = Pooler()
    monkeypatch.setattr(poll_pool, "Link", found.link)
    monkeypatch.setattr(poll_pool, "driver", lambda: Driver)
    monkeypatch.setattr(poll_pool.time, "monotonic", lambda: found.now)
    return found


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    (tmp_path / "keeper.json").write_text('{"pooler": {"host": "app-pooler"}}')
    (tmp_path / "keeper.token").write_text("the-token\n")
    (tmp_path / "monitor.password").write_text("geheim\n")
    return Keeper("app", run, "", config=str(tmp_path))


@pytest.fixture
def pool(pooler: Pooler) -> poll_pool.Pool:
    return poll_pool.Pool(pooler.address_of)


def look(pool: poll_pool.Pool, keeper: Keeper) -> Any:
    pool.look(keeper)
    found, why = pool.seen()
    assert why is None
    return found


def test_the_console_is_kept_and_the_way_through_it_made_anew(
    pooler: Pooler, pool: poll_pool.Pool, keeper: Keeper
) -> None:
    for _look in range(7):
        found = look(pool, keeper)
        pooler.now += 5
    assert found["pool"] == {
        "up": True, "clients_active": 4, "clients_waiting": 3, "max_wait_seconds": 2.9, "servers_active": 4,
        "servers_idle": 1,
    }  # fmt: skip
    assert found["busiest"]["pool"] == "app@app"
    assert (found["connect_ms"], judge(found, None, True).status) == (20.25, "healthy")
    console, *through = pooler.opened
    assert (console["user"], console["password"]) == ("pgkeep_stats", password("the-token"))
    # Every 15 s in half a minute, by the role of health checks; none of them stays.
    assert [each["user"] for each in through] == ["pgkeep_monitor"] * 3
    assert [door.database for door in pooler.links] == ["pgbouncer", ""]
    for each in pooler.opened:
        assert (each["host"], each["hostaddr"], each["sslmode"]) == ("app", "172.18.0.9", "verify-full")
        # PgBouncer refuses a login with them.
        assert "options" not in each
    assert pooler.looked_up == 1


@pytest.mark.parametrize(
    "trouble, words",
    [
        (Broken("connection to server at 172.18.0.9 failed: Connection refused"), "Connection refused"),
        (link.Silent("no answer to a login within 2.0 s"), "no answer"),
        (Broken("FATAL:  password authentication failed"), "password authentication failed"),
    ],
)
@pytest.mark.parametrize("database_up", [True, False])
def test_a_console_that_does_not_answer_is_told_whatever_the_server_does(
    pooler: Pooler, pool: poll_pool.Pool, keeper: Keeper, trouble: Exception, words: str, database_up: bool
) -> None:
    look(pool, keeper)
    pooler.console = trouble
    found = look(pool, keeper)
    assert found["pool"] == {"up": False, **dict.fromkeys(set(found["pool"]) - {"up"})}
    check = judge(found, None, database_up)
    assert (check.status, words in check.message) == ("critical", True)
    # Nobody waits for what is behind it, and the next look finds out by itself that it is over.
    assert [each["dbname"] for each in pooler.opened].count("postgres") == 1
    pooler.console = None
    assert look(pool, keeper)["pool"]["up"]


def test_a_new_container_has_another_address(pooler: Pooler, pool: poll_pool.Pool, keeper: Keeper) -> None:
    look(pool, keeper)
    pooler.links[0].close()
    pooler.name = "172.18.0.77"
    assert look(pool, keeper)["pool"]["up"]
    assert [each["hostaddr"] for each in pooler.opened[-2:]] == ["172.18.0.77"] * 2


def test_a_container_that_is_gone_has_no_name(pooler: Pooler, pool: poll_pool.Pool, keeper: Keeper) -> None:
    pooler.name = socket.gaierror(-2, "Name or service not known")
    found = look(pool, keeper)
    assert (found["pool"]["up"], found["login_error"]) == (False, "its name leads nowhere: Name or service not known")
    assert pooler.opened == []


def test_a_name_service_that_hangs_is_no_good_news(pooler: Pooler, pool: poll_pool.Pool, keeper: Keeper) -> None:
    assert look(pool, keeper)["pool"]["up"]
    pooler.now += 16
    found, why = pool.seen()
    assert (why, found["pool"]["up"]) == (None, False)
    assert "looked for since 16 s" in judge(found, None, True).message


def test_a_pooler_that_leads_nowhere_is_well_while_the_server_is_down(
    pooler: Pooler, pool: poll_pool.Pool, keeper: Keeper
) -> None:
    pooler.through = Broken("FATAL:  server login has been failing")
    found = look(pool, keeper)
    assert found["pool"]["up"]
    assert judge(found, None, False).status == "unknown"
    assert judge(found, None, True).message == "server login has been failing"
    # Tried again at the next look, not in 15 s.
    pooler.through = None
    assert judge(look(pool, keeper), None, True).status == "healthy"


def test_a_secret_that_is_missing_is_told(pooler: Pooler, pool: poll_pool.Pool, keeper: Keeper) -> None:
    Path(keeper.config, "keeper.token").unlink()
    assert "keeper.token is not there" in look(pool, keeper)["login_error"]
    assert pooler.opened == []


def test_where_no_pooler_is_declared_nobody_looks(pooler: Pooler, pool: poll_pool.Pool, keeper: Keeper) -> None:
    assert pool.seen() == (None, "it was not looked at yet")
    look(pool, keeper)
    Path(keeper.config, "keeper.json").write_text(json.dumps({"http": {}}))
    assert look(pool, keeper) is None
    assert not pooler.links[0].is_open
