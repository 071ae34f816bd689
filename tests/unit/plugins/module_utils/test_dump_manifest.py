# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests: read back as written, damage told, and no run removed that is still needed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _dump_manifest as manifests
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import Table
from ansible_collections.pgkeep.postgres.plugins.module_utils._dump_manifest import Dump, Found, Run, Stored
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run as really
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import epoch_of

NOW = epoch_of("2026-11-21T12:00:00Z") or 0
TABLE = Table("sh/öp", "public", "orders", 5, 7, 2, 16384, "2026-11-01T00:00:00Z")


def dump(database: str = "sh/öp", name: str = "2026-11-21_020005") -> Dump:
    return Dump(
        "%s_backup_%s.dump" % (database.replace("/", "%2F"), name), 3, hashlib.sha256(b"abc").hexdigest(), database
    )


def run_of(name: str, *databases: str) -> Run:
    day = name[:10]
    return Run(
        run=name,
        instance="orders",
        system_id=7440000000000000001,
        server_version="17.12",
        started_at=day + "T02:00:05Z",
        stopped_at=day + "T02:00:07Z",
        duration_seconds=2.5,
        encrypted=False,
        globals=Stored("globals_backup_%s.sql" % name, 3, hashlib.sha256(b"abc").hexdigest()),
        databases=tuple(dump(each, name) for each in databases),
        verified_at=day + "T02:00:07Z",
    )


def keeper(tmp_path: Path, *runs: Run) -> Keeper:
    for run in runs:
        folder = tmp_path / run.run
        folder.mkdir()
        (folder / "manifest.json").write_text(manifests.to_text(run))
        for file in run.files:
            (folder / file.file).write_bytes(b"abc")
    return Keeper("orders", really, "/data", dumps=str(tmp_path))


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    full = replace(
        run_of("2026-11-21_020005"),
        databases=(replace(dump(), tables=(TABLE,), unlogged=(("public", "fast"),), properties={"owner": "x"}),),
    )
    assert manifests.from_text(manifests.to_text(full)) == full
    assert full.databases[0].rows == 5
    assert full.size_bytes == 6


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "globals": {}}'])
def test_what_is_no_manifest_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "2026-11-21_020005").mkdir()
    (tmp_path / "2026-11-21_020005" / "manifest.json").write_text(text)
    (found,) = manifests.runs(keeper(tmp_path))
    assert found.run is None
    assert found.why.startswith("its manifest.json cannot be read")


def test_runs_are_listed_in_order_and_what_is_not_complete_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "2026-11-22_000000.partial").mkdir()
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "2026-11-23_000000").mkdir()
    at = keeper(tmp_path, run_of("2026-11-21_020005", "a"), run_of("2026-11-20_020005", "a"))
    assert [(each.name, each.why) for each in manifests.runs(at)] == [
        ("2026-11-20_020005", ""),
        ("2026-11-21_020005", ""),
        ("2026-11-23_000000", "it has no manifest.json"),
    ]
    assert manifests.leftovers(at) == ["2026-11-22_000000.partial"]


def test_no_volume(tmp_path: Path) -> None:
    with pytest.raises(PgkeepError, match=r"cannot be listed.*deploy\.yml"):
        manifests.runs(Keeper("orders", really, "/data", dumps=str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    "content, glance, read",
    [
        (b"abc", None, None),
        (b"abd", None, "checksum"),
        (b"ab", "has 2 bytes, written were 3", "has 2 bytes"),
        (None, "No such file", "No such file"),
    ],
)
def test_what_is_wrong_with_a_file(
    tmp_path: Path, content: Optional[bytes], glance: Optional[str], read: Optional[str]
) -> None:
    stored = dump("a")
    if content is not None:
        (tmp_path / stored.file).write_bytes(content)
    for reread, expected in ((False, glance), (True, read)):
        problem = manifests.problem(str(tmp_path), stored, reread=reread)
        assert problem is None if expected is None else expected in str(problem)


def found(*entries: tuple[str, str]) -> list[Found]:
    """(day of November, databases as letters; ? for a manifest that cannot be read)"""
    made = []
    for day, letters in entries:
        name = "2026-11-%s_020005" % day
        made.append(Found(name, None, "?") if letters == "?" else Found(name, run_of(name, *letters)))
    return made


@pytest.mark.parametrize(
    "entries, keep_days, keep_min, gone",
    [
        ([("10", "a"), ("19", "a"), ("20", "a"), ("21", "a")], 7, 2, ["10"]),
        ([("10", "a"), ("11", "a"), ("12", "a")], 7, 2, ["10"]),
        ([("10", "a")], 0, 1, []),
        ([("20", "a"), ("21", "a")], 0, 1, ["20"]),
        ([("15", "a"), ("21", "a")], 7, 1, []),
        # A run made by hand for one database is no reason to forget the other one.
        ([("10", "ab"), ("20", "a"), ("21", "a")], 7, 2, []),
        ([("10", "ab"), ("11", "ab"), ("20", "a"), ("21", "a")], 7, 1, ["10"]),
        # What cannot be read counts as no dump, and is left for a person to look at.
        ([("10", "a"), ("11", "?"), ("21", "a")], 7, 2, []),
        ([("09", "?"), ("10", "a"), ("20", "a"), ("21", "a")], 7, 2, ["10"]),
    ],
)
def test_what_may_go(entries: list[tuple[str, str]], keep_days: float, keep_min: int, gone: list[str]) -> None:
    removable = manifests.removable(found(*entries), keep_days, keep_min, NOW)
    assert removable == ["2026-11-%s_020005" % day for day in gone]


def test_a_run_that_misses_a_file_is_not_counted(tmp_path: Path) -> None:
    whole, cut = run_of("2026-11-20_020005", "a"), run_of("2026-11-21_020005", "a")
    at = keeper(tmp_path, whole, cut)
    (tmp_path / cut.run / cut.databases[0].file).unlink()
    sound = manifests.sound(at, manifests.runs(at))
    assert [each.run for each in sound] == [whole, None]
    assert manifests.removable(sound, 0, 1, NOW) == []


def test_the_newest_dump_of_a_database() -> None:
    runs = found(("10", "ab"), ("11", "a"), ("12", "?"))
    newest = manifests.newest(runs, "b")
    assert newest is not None
    assert newest[0].run == "2026-11-10_020005"
    wanted = manifests.newest(runs, "a", "a_backup_2026-11-10_020005.dump")
    assert wanted is not None
    assert wanted[0].run == "2026-11-10_020005"
    assert manifests.newest(runs, "c") is None
    assert manifests.newest(runs, "b", "a_backup_2026-11-10_020005.dump") is None


def test_the_newest_run_that_was_complete_at_a_moment(tmp_path: Path) -> None:
    first, second = run_of("2026-11-20_020005", "a"), run_of("2026-11-21_020005", "a")
    folder = keeper(tmp_path, first, second).dumps
    stopped_at = epoch_of(second.stopped_at) or 0
    assert manifests.newest_before(folder, stopped_at + 1) == second
    assert manifests.newest_before(folder, stopped_at) == first
    (tmp_path / second.run / "manifest.json").write_text("{}")
    assert manifests.newest_before(folder, stopped_at + 1) == first
    assert manifests.newest_before(folder, 0) is None
    assert manifests.newest_before(str(tmp_path / "nowhere"), stopped_at) is None
