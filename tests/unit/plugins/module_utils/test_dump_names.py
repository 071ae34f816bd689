# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of dumps: reversible, safe as file names, and short enough for PostgreSQL."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _dump_names as names

RUN = "2026-11-21_020005"
AWKWARD = [
    "app",
    "Sales/2026",
    "..",
    ".hidden",
    "-rf",
    "a\"b'c",
    "100 % = y",
    "Käufe €",
    "line\nbreak",
    "%2F",
    "a_backup_2026-11-21_020005.dump",
    "globals",
    "ü" * 31 + "a",
]


@pytest.mark.parametrize("database", AWKWARD)
@pytest.mark.parametrize("encrypted", [True, False])
def test_a_file_name_tells_its_database(database: str, encrypted: bool) -> None:
    file = names.dump_file(database, RUN, encrypted=encrypted)
    assert names.decode(file) == (database, RUN)
    assert file.isascii()
    assert file[0] not in ".-"
    assert not set(file) & set("/\0\n '\"")
    # The longest name that a Linux file system takes, with .partial behind it.
    assert len(file) <= 240
    assert file != names.globals_file(RUN, encrypted=encrypted)


def test_names_stay_apart() -> None:
    files = {names.dump_file(database, RUN, encrypted=True) for database in [*AWKWARD, "APP", "sales/2026"]}
    assert len(files) == len(AWKWARD) + 2


def test_an_ordinary_name_stays_readable() -> None:
    assert names.dump_file("my-app_1", RUN, encrypted=False) == "my-app_1_backup_2026-11-21_020005.dump"


@pytest.mark.parametrize(
    "file", ["app.dump", "manifest.json", "globals_backup_2026-11-21_020005.sql", "app_backup_.dump"]
)
def test_what_is_no_dump(file: str) -> None:
    assert names.decode(file) is None


def test_the_stamp_is_utc() -> None:
    assert names.stamp(1795399205.9) == "2026-11-23_020005"
    assert names.is_run("2026-11-23_020005")
    assert not names.is_run("2026-11-23_020005.partial")


@pytest.mark.parametrize("database", ["app", "x" * 63, "ü" * 31])
def test_the_name_beside_is_never_cut_by_the_server(database: str) -> None:
    name = names.beside(database, "restored", RUN)
    assert names.fits(name)
    assert name.endswith("_restored_" + RUN)
    assert database.startswith(name[: -len("_restored_" + RUN)])


@pytest.mark.parametrize(
    "name, fits", [("", False), ("x" * 63, True), ("x" * 64, False), ("ü" * 32, False), ("a\0", False)]
)
def test_what_the_server_takes_as_a_name(name: str, fits: bool) -> None:
    assert names.fits(name) is fits
