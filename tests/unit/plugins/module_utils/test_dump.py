# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking dumps and restoring from them, with real files, real openssl and stand-ins for PostgreSQL's programs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _beside as beside
from ansible_collections.pgkeep.postgres.plugins.module_utils import _dump as dump
from ansible_collections.pgkeep.postgres.plugins.module_utils import _dump_database as database_of
from ansible_collections.pgkeep.postgres.plugins.module_utils import _dump_info as dump_info
from ansible_collections.pgkeep.postgres.plugins.module_utils import _dump_restore as dump_restore
from ansible_collections.pgkeep.postgres.plugins.module_utils import _sql
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import Table
from ansible_collections.pgkeep.postgres.plugins.module_utils._dump_restore import Request
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run as really

TABLE = Table("shop", "public", "orders", 5, 7, 2, 16384)
PROPERTIES = {"owner": "app", "connection_limit": 7, "settings": [], "acl": None, "comment": None}
THERE = {"shop": (1000, PROPERTIES), "postgres": (1000, PROPERTIES)}

PG_DUMP = 'echo "$@" >> "$LOG"; echo "dump of $*"'
PG_RESTORE = 'echo "$@" >> "$LOG"; cat > /dev/null'


class Server:
    """What the library asks of the server; done holds what was changed there."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.there = dict(THERE)
        self.restored: tuple[Table, ...] = (TABLE,)
        self.unfinished: list[str] = []


class Place:
    """A keeper on a folder, and the programs it finds in PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("dumps", "config", "spool", "bin"):
            (folder / name).mkdir()
        self.wish(keep_days=0, keep_min=1)
        (folder / "config/dumps.passphrase").write_text("a-passphrase-of-24-chars")
        self.program("pg_dump", PG_DUMP)
        self.program("pg_dumpall", PG_DUMP)
        self.program("pg_restore", PG_RESTORE)
        self.keeper = Keeper(
            "orders",
            really,
            str(folder),
            spool=str(folder / "spool"),
            config=str(folder / "config"),
            dumps=str(folder / "dumps"),
        )

    def wish(self, **topic: Any) -> None:
        (self.folder / "config/keeper.json").write_text(json.dumps({"dumps": topic}))

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text("#!/bin/sh\n%s\n" % text)
        path.chmod(0o755)

    def listed(self) -> list[str]:
        return sorted(os.listdir(self.folder / "dumps"))

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def forget(self) -> None:
        (self.folder / "log").write_text("")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path / "bin", os.environ["PATH"]))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return Place(tmp_path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    opened = SimpleNamespace(server_version=170012, set_client_encoding=lambda _name: None)

    @contextlib.contextmanager
    def connection(_sockets: str, _database: str = "postgres") -> Iterator[Any]:
        yield opened

    @contextlib.contextmanager
    def counted(_opened: Any, _database: str) -> Iterator[Any]:
        yield SimpleNamespace(snapshot="00000003-00000002-1", tables=lambda: (TABLE,), unlogged=())

    def noted(name: str) -> Any:
        return lambda _opened, *words: made.done.append((name, *words))

    monkeypatch.setattr(_sql, "connection", connection)
    monkeypatch.setattr(_sql, "rows", lambda _opened, _statement, *_values: [(1,)])
    monkeypatch.setattr(dump, "counted", counted)
    monkeypatch.setattr(dump, "databases", lambda _opened: made.there)
    monkeypatch.setattr(database_of, "databases", lambda _opened: made.there)
    monkeypatch.setattr(database_of, "unfinished", lambda _opened: made.unfinished)
    for name in ("create", "drop", "finish", "exchange"):
        monkeypatch.setattr(database_of, name, noted(name))
    monkeypatch.setattr(beside, "read_back", lambda _sockets, _database, _only: made.restored)
    return made


def test_a_run_is_whole_encrypted_and_for_the_keeper_alone(place: Place, server: Server) -> None:
    (place.folder / "dumps/2026-01-01_000000.partial").mkdir()
    taken = dump.take(place.keeper)
    assert place.listed() == [taken["dump"]["run"]]
    folder = Path(taken["dump"]["folder"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert [each["database"] for each in taken["dump"]["databases"]] == ["shop", "postgres"]
    assert (taken["dump"]["databases"][0]["rows"], taken["changed"], taken["removed"]) == (5, True, [])
    file = folder / taken["dump"]["databases"][0]["file"]
    assert b"dump of" not in file.read_bytes()
    # With the words of backup.md.
    words = "openssl enc -d -aes-256-cbc -pbkdf2 -md sha256 -iter 10000 -pass file:%s -in %s"
    key = place.folder / "config/dumps.passphrase"
    clear = subprocess.run((words % (key, file)).split(), stdout=subprocess.PIPE, check=True).stdout
    assert clear.startswith(b"dump of --format=custom --compress=zstd:3 --snapshot=00000003-00000002-1")
    assert "--no-role-passwords" not in place.log()
    assert "a-passphrase" not in place.log()


def test_clear_text_holds_no_verifiers(place: Place, server: Server) -> None:
    place.wish(encrypt=False)
    (place.folder / "config/dumps.passphrase").unlink()
    taken = dump.take(place.keeper, ["shop"])
    assert "--no-role-passwords" in place.log()
    folder = Path(taken["dump"]["folder"])
    assert sorted(path.suffix for path in folder.iterdir()) == [".dump", ".json", ".sql"]


def test_check_mode_touches_nothing(place: Place, server: Server) -> None:
    assert dump.take(place.keeper, check=True)["plan"]["databases"] == ("shop", "postgres")
    assert place.listed() == []


@pytest.mark.parametrize(
    "program, text, why",
    [
        ("pg_dump", "echo half; echo 'pg_dump: error: table is damaged' >&2; exit 1", "table is damaged"),
        ("pg_dump", "echo half; kill -9 $$", "pg_dump was killed by signal 9"),
        ("pg_dumpall", "exit 1", "pg_dumpall ended with exit code 1"),
        ("pg_restore", "echo 'not an archive' >&2; exit 1", "not an archive"),
        ("openssl", "exit 1", "openssl ended with exit code 1"),
    ],
)
def test_a_run_that_fails_leaves_nothing_and_removes_nothing(
    place: Place, server: Server, program: str, text: str, why: str
) -> None:
    before = [dump.take(place.keeper)["dump"]["run"]]
    place.program(program, text)
    with pytest.raises(PgkeepError) as caught:
        dump.take(place.keeper)
    assert why in caught.value.why
    assert place.listed() == before


def test_old_runs_go_only_after_the_new_one_is_there(place: Place, server: Server) -> None:
    first = dump.take(place.keeper)["dump"]["run"]
    # keep_days is 0: whatever is a second old may go.
    os.rename(place.folder / "dumps" / first, place.folder / "dumps/2026-01-01_000000")
    manifest = place.folder / "dumps/2026-01-01_000000/manifest.json"
    text = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**text, "stopped_at": "2026-01-01T00:00:00Z"}))
    second = dump.take(place.keeper)
    assert second["removed"] == ["2026-01-01_000000"]
    assert place.listed() == [second["dump"]["run"]]


def test_two_never_run(place: Place, server: Server) -> None:
    with dump.locked(place.keeper, "dump of orders"):
        for command in (lambda: dump.take(place.keeper), lambda: dump_restore.restore(place.keeper, Request("shop"))):
            with pytest.raises(PgkeepError) as caught:
                command()
            assert caught.value.busy


def test_what_no_disk_can_hold_is_refused_before(place: Place, server: Server) -> None:
    server.there["shop"] = (10**18, PROPERTIES)
    with pytest.raises(PgkeepError, match="disk of the dumps is too full"):
        dump.take(place.keeper)
    assert place.listed() == []


def test_an_unknown_database(place: Place, server: Server) -> None:
    with pytest.raises(PgkeepError, match="no database nobody; there are shop, postgres"):
        dump.take(place.keeper, ["shop", "nobody"])


def test_a_dump_without_passphrase_is_not_started(place: Place, server: Server) -> None:
    (place.folder / "config/dumps.passphrase").write_text("")
    with pytest.raises(PgkeepError, match="less than 20 characters"):
        dump.take(place.keeper)


def test_the_list_tells_what_is_wrong(place: Place, server: Server) -> None:
    taken = dump.take(place.keeper)["dump"]
    assert dump_info.info(place.keeper)["runs"] == [taken]
    file = Path(taken["folder"], taken["databases"][0]["file"])
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert dump_info.info(place.keeper)["newest"] == {"shop": taken["run"], "postgres": taken["run"]}
    read = dump_info.info(place.keeper, verify=True)
    assert "is damaged" in read["runs"][0]["databases"][0]["problem"]
    assert read["newest"] == {"postgres": taken["run"]}
    assert not read["runs"][0]["good"]


def test_a_database_comes_back_beside_the_old_one(place: Place, server: Server) -> None:
    taken = dump.take(place.keeper)["dump"]
    server.unfinished = ["left by a killed one"]
    place.forget()
    result = dump_restore.restore(place.keeper, Request("shop", into="again"))
    assert [words[:2] for words in server.done] == [
        ("drop", "left by a killed one"),
        ("create", "again"),
        ("finish", "again"),
    ]
    assert (result["dump_restore"]["database"], result["dump_restore"]["rows"]) == ("again", 5)
    assert result["dump_restore"]["file"] == taken["databases"][0]["file"]
    whole, restored = place.log().splitlines()
    assert whole == "--file=/dev/null"
    assert restored.startswith("--exit-on-error --no-password --dbname=host=")
    assert restored.endswith("--single-transaction")


def test_one_table_gets_its_definitions_first(place: Place, server: Server) -> None:
    dump.take(place.keeper)
    place.forget()
    result = dump_restore.restore(place.keeper, Request("shop", table="orders", into="again"))
    assert result["dump_restore"]["table"] == "public.orders"
    assert [line.rsplit("transaction ", 1)[-1] for line in place.log().splitlines()[1:]] == [
        "--section=pre-data",
        "--data-only --schema=public --table=orders",
    ]


def test_a_restore_that_fails_leaves_no_half_database(place: Place, server: Server) -> None:
    dump.take(place.keeper)
    place.program("pg_restore", 'case "$*" in *dbname*) echo broken >&2; exit 1;; *) cat > /dev/null;; esac')
    with pytest.raises(PgkeepError, match=r"broken.*the old database is as it was"):
        dump_restore.restore(place.keeper, Request("shop", into="again"))
    assert [words[:2] for words in server.done] == [("create", "again"), ("drop", "again")]


def test_rows_that_did_not_come_back(place: Place, server: Server) -> None:
    dump.take(place.keeper)
    server.restored = ()
    with pytest.raises(PgkeepError, match=r"public\.orders is missing.*the new database was removed"):
        dump_restore.restore(place.keeper, Request("shop", into="again", exchange=True, confirm="shop"))
    assert [words[:2] for words in server.done] == [("create", "again"), ("drop", "again")]


def test_an_exchange_comes_last(place: Place, server: Server) -> None:
    dump.take(place.keeper)
    result = dump_restore.restore(place.keeper, Request("shop", exchange=True, confirm="shop"))
    assert [words[0] for words in server.done] == ["create", "finish", "exchange"]
    assert server.done[-1] == ("exchange", "shop", result["plan"]["replaced"], result["plan"]["into"], 7)
    assert result["dump_restore"]["database"] == "shop"


@pytest.mark.parametrize(
    "request_, why",
    [
        (Request("nobody"), "there is no dump of it; there are dumps of postgres, shop"),
        (Request("shop", file="shop_backup_2026-01-01_000000.dump"), "there is no dump of it in shop_backup"),
        (Request("shop", table="none"), "has no table public.none"),
        (Request("shop", schema="sales", table="orders"), "there is public.orders"),
        (Request("shop", into="postgres"), "there is a database postgres already"),
        (Request("shop", into="x" * 64), "cannot be the name of a database"),
        (Request("shop", exchange=True), "confirm does not name it"),
        (Request("shop", exchange=True, confirm="Shop"), "confirm does not name it"),
        (Request("shop", exchange=True, confirm="shop", table="orders"), "cannot take the place of the whole one"),
        (Request("postgres", exchange=True, confirm="postgres"), "the keeper works from it"),
    ],
)
def test_what_is_refused_before_anything_is_made(place: Place, server: Server, request_: Request, why: str) -> None:
    dump.take(place.keeper)
    for check in (True, False):
        with pytest.raises(PgkeepError) as caught:
            dump_restore.restore(place.keeper, request_, check=check)
        assert why in str(caught.value)
    assert server.done == []


def test_damage_is_found_before_anything_is_made(place: Place, server: Server) -> None:
    taken = dump.take(place.keeper)["dump"]
    file = Path(taken["folder"], taken["databases"][0]["file"])
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(PgkeepError, match="is damaged"):
        dump_restore.restore(place.keeper, Request("shop"))
    assert server.done == []


def test_another_passphrase_is_found_before_anything_is_made(place: Place, server: Server) -> None:
    dump.take(place.keeper)
    (place.folder / "config/dumps.passphrase").write_text("another-passphrase-of-30-chars")
    # In one of 256 cases the end looks right to openssl, and pg_restore alone sees that it is no archive.
    place.program("pg_restore", "grep -q '^dump of' || { echo 'not a valid archive' >&2; exit 1; }")
    with pytest.raises(PgkeepError, match=r"(bad decrypt|not a valid archive).*put the passphrase back"):
        dump_restore.restore(place.keeper, Request("shop"))
    assert server.done == []


def test_a_disk_of_the_data_that_is_too_small(place: Place, server: Server) -> None:
    dump.take(place.keeper)
    (manifest,) = place.folder.glob("dumps/*/manifest.json")
    manifest.write_text(manifest.read_text().replace('"database_bytes": 1000', '"database_bytes": %d' % 10**18))
    with pytest.raises(PgkeepError, match="disk of the data is too full"):
        dump_restore.restore(place.keeper, Request("shop"))
    assert server.done == []
