# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database from a physical backup: what is decided before, what is asked of the engine, what stays after a failure.

The recovery itself and the rows are proven on the real engine, in tests/integration.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _beside as beside
from ansible_collections.pgkeep.postgres.plugins.module_utils import _database_restore as restoring
from ansible_collections.pgkeep.postgres.plugins.module_utils import _database_restore_plan as planning
from ansible_collections.pgkeep.postgres.plugins.module_utils import _dump, _sql, _throwaway
from ansible_collections.pgkeep.postgres.plugins.module_utils import _dump_database as database_of
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_choice as choosing
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_plan as restore_planning
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._beside import Wanted
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import Reading, Table
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._evidence import Note
from ansible_collections.pgkeep.postgres.plugins.module_utils._evidence_files import record
from ansible_collections.pgkeep.postgres.plugins.module_utils._restore_plan import Request
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._target import LATEST

from .restore_host import Host

LABEL = "20261121-225358F"
PROPERTIES = {"owner": "app", "connection_limit": 7, "settings": [], "acl": None, "comment": None}
THERE = {"shop": (1000, PROPERTIES), "postgres": (1000, PROPERTIES)}
ORDERS = Table("shop", "public", "orders", 5, 7, 2, 16384)
CACHE = Table("shop", "public", "cache", 0, 7, 2, 16390)
SHOP, WIKI = 16400, 16401


def request(**target: Any) -> Request:
    values: dict[str, Any] = {"label": None, "time": None, **(target or {"immediate": True})}
    return Request(name="app", confirm=None, keep_previous=0, timeout_seconds=60, **values)


class Engine(Host):
    """An instance with backups; databases: those of each backup. there: the databases of the side server."""

    def __init__(self, tmp_path: Path, monkeypatch: Any) -> None:
        super().__init__(tmp_path, monkeypatch)
        self.databases: dict[str, int] = {"postgres": 5, "shop": SHOP, "wiki": WIKI}
        self.there: dict[str, Any] = dict(THERE)
        self.tables: tuple[Table, ...] = (ORDERS,)
        self.oid = SHOP
        self.restored: tuple[Table, ...] = (ORDERS,)
        self.done: list[tuple[Any, ...]] = []
        self.left: list[str] = []

    def __call__(self, argv: list[str], data: Any = None, env: Any = None, timeout: Any = None) -> Result:
        if "pgbackrest" in argv and argv[-1] == "info":
            self.commands.append(argv)
            listed = [{"name": name, "oid": oid} for name, oid in self.databases.items()]
            return Result(0, json.dumps([{"backup": [{"database-ref": listed}]}]))
        if argv[1] == "run":
            words = next(word for word in argv if word.startswith("PGKEEP_RESTORE_ARGS="))
            self.done.append(("start", *[word for word in words.split() if word.startswith("--db-include")]))
            return Result(0)
        return super().__call__(argv, data, env, timeout)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine; PostgreSQL is answered for, and a program called docker in PATH writes down what is piped."""
    made = Engine(tmp_path, monkeypatch)
    opened = SimpleNamespace(server_version=170012, set_client_encoding=lambda _name: None)
    copy_sockets = made.layout.home + "/restore/run"

    @contextlib.contextmanager
    def connection(sockets: str, _database: str = "postgres") -> Iterator[Any]:
        yield SimpleNamespace(copy=sockets == copy_sockets, **vars(opened))

    def read_back(sockets: str, _database: str, only: Any) -> tuple[Table, ...]:
        tables = made.tables if sockets == copy_sockets else made.restored
        return tuple(table for table in tables if only in (None, table.key[1:]))

    def listed(_opened: Any, _database: str, persistence: str) -> list[tuple[Table, str]]:
        return [(table, "") for table in made.tables if "p" in persistence or table is CACHE]

    def noted(name: str) -> Any:
        return lambda _opened, *words: made.done.append((name, *words))

    monkeypatch.setattr(restore_planning, "accepts_writes", lambda _layout: True)
    monkeypatch.setattr(choosing, "query", lambda _sockets, _statement: [("0/86000000",)])
    monkeypatch.setattr(_sql, "connection", connection)
    monkeypatch.setattr(_sql, "rows", lambda _opened, _statement, *_values: [(1,)])
    monkeypatch.setattr(_sql, "query", lambda _sockets, _statement, _values: [(made.oid,)])
    monkeypatch.setattr(database_of, "databases", lambda opened: made.there if opened.copy else THERE)
    monkeypatch.setattr(database_of, "unfinished", lambda _opened: made.left)
    for name in ("create", "drop", "finish", "exchange"):
        monkeypatch.setattr(database_of, name, noted(name))
    monkeypatch.setattr(beside, "read_back", read_back)
    monkeypatch.setattr(restoring, "read_back", read_back)
    monkeypatch.setattr(restoring, "list_tables", listed)
    monkeypatch.setattr(restoring, "prepare", lambda _place: None)
    monkeypatch.setattr(restoring, "wait_until_open", lambda *_arguments: None)
    monkeypatch.setattr(restoring, "look", lambda _sockets: None)
    monkeypatch.setattr(restoring, "remove_killed", lambda _run, _layout: ["Removed app-restore, left by a restore"])
    monkeypatch.setattr(restoring, "host_path", lambda _run, _source: str(tmp_path))
    (tmp_path / "bin").mkdir()
    program(tmp_path, 'echo "$@" >> "$LOG"; case "$*" in *pg_restore*) cat > /dev/null;; *) echo rows;; esac')
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path / "bin", os.environ["PATH"]))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return made


def program(folder: Path, text: str) -> None:
    path = folder / "bin/docker"
    path.write_text("#!/bin/sh\n%s\n" % text)
    path.chmod(0o755)


def piped(host: Engine, program_name: str) -> list[str]:
    """The calls of docker exec that ran the program; the two ends of a pipe start in any order."""
    return [line for line in (host.path / "log").read_text().splitlines() if program_name in line]


def restore(host: Engine, wanted: Wanted, check: bool = False, **target: Any) -> dict[str, Any]:
    return restoring.restore_database(host, wanted, request(**target), check)


def test_check_mode_only_reads(host: Engine) -> None:
    result = restore(host, Wanted("shop", into="again"), check=True, label=LABEL)
    assert result["database_restore"] is None
    plan = result["plan"]
    assert (plan["database"], plan["into"], plan["replaced"], plan["table"]) == ("shop", "again", None, None)
    assert (plan["target"], plan["label"], plan["repository"], plan["whole_backup"]) == (LABEL, LABEL, 1, False)
    assert plan["needed_bytes"] > 31450881
    assert host.writing() == []
    assert host.done == []


def test_a_database_comes_back_beside_the_old_one(host: Engine) -> None:
    host.left = ["left by a killed one"]
    result = restore(host, Wanted("shop", into="again"))
    assert [words[:2] for words in host.done] == [
        ("start", "--db-include=%d" % SHOP),
        ("drop", "left by a killed one"),
        ("create", "again"),
        ("finish", "again"),
    ]
    done = result["database_restore"]
    assert (done["database"], done["rows"], done["tables"], done["label"]) == ("again", 5, 1, LABEL)
    assert done["reached_time"] == "2026-11-21T22:53:59Z"
    assert result["removed"] == ["Removed app-restore, left by a restore"]
    ((dump,), (load,)) = (piped(host, name) for name in ("pg_dump", "pg_restore"))
    assert " app-restore pg_dump --format=custom --compress=zstd:3 " in dump
    assert " app pg_restore --exit-on-error " in load
    assert load.endswith("--single-transaction")


def test_one_table_gets_its_definitions_first(host: Engine) -> None:
    host.restored = host.tables = (ORDERS, Table("shop", 'a "b', "or.ders", 3, 0, 0, 1))
    result = restore(host, Wanted("shop", schema='a "b', table="or.ders", into="again"))
    assert result["database_restore"]["rows"] == 3
    dumps = piped(host, "pg_dump")
    assert dumps[0].endswith("--section=pre-data")
    assert dumps[1].endswith('--data-only --table="a ""b"."or.ders"')
    assert 'only the rows of a "b.or.ders, from backup %s, immediate' % LABEL in host.done[-1]


def test_an_exchange_comes_last(host: Engine) -> None:
    result = restore(host, Wanted("shop", exchange=True, confirm="shop"))
    assert [words[0] for words in host.done] == ["start", "create", "finish", "exchange"]
    assert host.done[-1] == ("exchange", "shop", result["plan"]["replaced"], result["plan"]["into"], 7)
    assert result["database_restore"]["database"] == "shop"


def test_a_database_that_was_renamed_behind_the_backup_is_restored_with_all_others(host: Engine) -> None:
    host.oid = 16999
    restore(host, Wanted("shop", into="again"))
    assert host.done[:2] == [("start", "--db-include=%d" % SHOP), ("start",)]


def test_wal_without_full_pages_needs_all_databases(host: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_once(*_arguments: Any) -> None:
        if host.done == [("start", "--db-include=%d" % SHOP)]:
            why = "PANIC: WAL contains references to invalid pages"
            raise PgkeepError("The recovery of the copy failed", why, "choose another backup")

    monkeypatch.setattr(restoring, "wait_until_open", fail_once)
    assert restore(host, Wanted("shop"))["database_restore"]["rows"] == 5
    assert host.done[:2] == [("start", "--db-include=%d" % SHOP), ("start",)]


@pytest.mark.parametrize(
    "databases",
    [
        pytest.param({"postgres": 5, "shop": SHOP}, id="there is no other"),
        pytest.param({"postgres": 5, "wiki": WIKI}, id="it was made later"),
        pytest.param({"postgres": 5, "shop": 5, "wiki": WIKI}, id="it is one of PostgreSQL's own"),
        pytest.param({}, id="nobody can tell"),
    ],
)
def test_everything_is_restored(host: Engine, databases: dict[str, int]) -> None:
    host.databases = databases
    result = restore(host, Wanted("shop", into="again"), time="2026-11-21T22:54:30Z")
    assert host.done[0] == ("start",)
    assert result["plan"]["whole_backup"]


def evidence(host: Engine, *tables: Table) -> None:
    keeper = Keeper("app", host, "", state=host.layout.state_dir)
    record(keeper, LABEL, Note(0, 5), Reading(tables, {}), 0.0)


@pytest.mark.parametrize(
    "wanted, target, why",
    [
        (Wanted("shop"), {"lsn": None}, "no moment is named"),
        (Wanted("shop"), {"time": "2026-11-21T22:00:00Z"}, "before the end of the oldest usable backup"),
        (Wanted("shop"), {"time": "2126-11-21T22:00:00Z"}, "it is in the future"),
        (Wanted("shop"), {"label": "20010101-000000F"}, "no backup of that label"),
        (Wanted("gone"), {"label": LABEL}, "the backup %s has no database of that name; it has postgres, shop" % LABEL),
        (Wanted("shop", table="none"), {"label": LABEL}, "the backup %s has no table public.none" % LABEL),
        (Wanted("shop", schema="s", table="orders"), {"label": LABEL}, "there is public.orders"),
        (Wanted("shop", into="postgres"), {"label": LABEL}, "there is a database postgres already"),
        (Wanted("shop", exchange=True), {"label": LABEL}, "confirm does not name it"),
        (Wanted("gone", exchange=True, confirm="gone"), {"label": LABEL}, "there is no database gone"),
    ],
)
def test_what_is_refused_before_anything_starts(
    host: Engine, wanted: Wanted, target: dict[str, Optional[str]], why: str
) -> None:
    evidence(host, ORDERS)
    for check in (True, False):
        with pytest.raises(PgkeepError) as caught:
            restore(host, wanted, check, **target)
        assert why in str(caught.value)
    assert host.done == []


def test_a_disk_without_room_for_the_side_server(host: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_throwaway, "free_bytes", lambda _path: 1)
    with pytest.raises(PgkeepError, match="MB on the file system of .*free space there"):
        restore(host, Wanted("shop"))
    assert host.done == []


def test_a_server_that_does_not_accept_writes(host: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_planning, "accepts_writes", lambda _layout: False)
    with pytest.raises(PgkeepError, match="nothing can be brought into it.*the module restore"):
        restore(host, Wanted("shop"), label=LABEL)
    assert host.done == []


@pytest.mark.parametrize(
    "wanted, why",
    [
        (Wanted("wiki"), "app at immediate has no database of that name; it has shop, postgres"),
        (Wanted("shop", table="none"), "app at immediate has no table public.none"),
        (Wanted("shop", schema="s", table="orders"), "there is public.orders"),
        (Wanted("shop", table="cache"), "public.cache is unlogged.*dump_restore"),
    ],
)
def test_what_only_the_side_server_knows(host: Engine, wanted: Wanted, why: str) -> None:
    host.tables = (ORDERS, CACHE)
    host.oid = WIKI if wanted.database == "wiki" else SHOP
    with pytest.raises(PgkeepError, match=why):
        restore(host, wanted)
    assert [words[0] for words in host.done] == ["start"]


def test_unlogged_tables_are_named(host: Engine) -> None:
    host.tables = host.restored = (ORDERS, CACHE)
    assert restore(host, Wanted("shop"))["database_restore"]["unlogged"] == ["public.cache"]


@pytest.mark.parametrize("failing", ["pg_dump", "pg_restore"])
def test_a_transfer_that_fails_leaves_no_half_database_and_no_side_server(host: Engine, failing: str) -> None:
    program(host.path, 'case "$*" in *%s*) echo broken >&2; exit 1;; *) cat > /dev/null;; esac' % failing)
    with pytest.raises(PgkeepError, match=r"broken.*the old database is as it was"):
        restore(host, Wanted("shop", into="again"))
    assert [words[0] for words in host.done] == ["start", "create", "drop"]
    assert not os.path.exists(host.layout.home + "/restore")


def test_a_role_that_is_gone(host: Engine) -> None:
    program(host.path, "cat > /dev/null; echo 'pg_restore: error: role \"x\" does not exist' >&2; exit 1")
    with pytest.raises(PgkeepError, match=r"create the role \(it was dropped since"):
        restore(host, Wanted("shop", into="again"))


def test_rows_that_did_not_come_back(host: Engine) -> None:
    host.restored = ()
    with pytest.raises(PgkeepError, match=r"public\.orders is missing.*the new database was removed"):
        restore(host, Wanted("shop", into="again", exchange=True, confirm="shop"))
    assert [words[0] for words in host.done] == ["start", "create", "drop"]


def test_a_recovery_that_fails(host: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> None:
        raise PgkeepError("The recovery of the copy failed", "recovery ended before", "choose a target before")

    monkeypatch.setattr(restoring, "wait_until_open", fail)
    with pytest.raises(PgkeepError) as caught:
        restore(host, Wanted("shop"), xid="7")
    assert caught.value.what == "The database shop was not restored"
    assert caught.value.why.startswith("The recovery of the copy failed: recovery ended before; the old database")
    assert [words[0] for words in host.done] == ["start"]


def test_a_dump_at_the_same_time(host: Engine) -> None:
    with (
        _dump.locked(Keeper("app", host, "", spool=str(host.path)), "dump of app"),
        pytest.raises(PgkeepError) as caught,
    ):
        restore(host, Wanted("shop"))
    assert caught.value.busy
    assert host.done == []


def test_only_a_moment_will_do(host: Engine) -> None:
    assert request(lsn=None).target().kind == LATEST
    with pytest.raises(PgkeepError, match="the newest state is what the server has itself"):
        planning.require_target(Wanted("shop"), request(lsn=None))
