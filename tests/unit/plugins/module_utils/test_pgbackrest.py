# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading pgBackRest's recorded output."""

from __future__ import annotations

import json

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _pgbackrest as pgbackrest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .recorded_pgbackrest import STANZA, info, is_json, text

FULL = "20261121-225418F"
INCR = "20261121-225418F_20261121-225419I"
DIFF = "20261121-225418F_20261121-225420D"


@pytest.mark.parametrize(
    "name, code, running",
    [
        ("info-ok.json", pgbackrest.OK, False),
        ("info-running.json", pgbackrest.OK, True),
        ("info-no-backup.json", pgbackrest.NO_BACKUP, False),
        ("info-missing-stanza.json", pgbackrest.MISSING_PATH, False),
        ("info-missing-data.json", pgbackrest.MISSING_DATA, False),
        ("info-denied.json", pgbackrest.OTHER, False),
        ("info-damaged.bin", pgbackrest.OTHER, False),
        ("info-wrong-passphrase.bin", pgbackrest.OTHER, False),
    ],
)
def test_status(name: str, code: int, running: bool) -> None:
    found = info(name)
    assert (found.code, found.running) == (code, running)


def test_a_wrong_passphrase_is_read_although_it_is_no_json() -> None:
    assert not is_json("info-wrong-passphrase.bin")
    assert "key/value found outside of section" in info("info-wrong-passphrase.bin").message


def test_backups() -> None:
    full, incr, diff = info("info-ok.json").backups
    assert [each.label for each in (full, incr, diff)] == [FULL, INCR, DIFF]
    assert (full.type, full.prior, full.references, full.error) == ("full", None, (), False)
    assert (incr.type, incr.prior, incr.references) == ("incr", FULL, (FULL,))
    assert (full.size, full.delta, incr.delta) == (23421671, 2825064, 408)
    assert (full.start, full.stop) == (1795301658, 1795301659)
    assert (diff.wal_start, diff.wal_stop) == ("000000010000000000000005", "000000010000000000000006")
    assert (diff.lsn_start, diff.lsn_stop) == ("0/5000028", "0/6000050")
    assert full.annotations == {"pgkeep": "1", "pgkeep-drill": "passed@2026-11-21T22:00:00Z"}
    assert full.major == 17


def test_the_major_of_a_backup_is_that_of_its_database() -> None:
    # As after an upgrade: the stanza's newest database is not that of the backups.
    recorded = json.loads(text("info-ok.json"))
    recorded[0]["db"] = [{**recorded[0]["db"][0], "version": "9.6"}, {"id": 2, "version": "17"}]
    assert [backup.major for backup in pgbackrest.parse_info(json.dumps(recorded)).backups] == [9, 9, 9]
    recorded[0]["db"] = recorded[0]["db"][1:]
    assert [backup.major for backup in pgbackrest.parse_info(json.dumps(recorded)).backups] == [None, None, None]


def test_page_errors_are_in_info() -> None:
    assert [backup.error for backup in info("info-page-errors.json").backups] == [False, False, False, True, True]
    assert pgbackrest.parse_error_list(text("info-set-page-errors.json")) == ("base/5/16384",)
    assert pgbackrest.parse_error_list(text("info-set-ok.json")) == ()
    assert pgbackrest.parse_error_list(text("info-set-unknown.json")) == ()


def test_where_the_wal_goes() -> None:
    assert info("info-ok.json").archive_id == "17-1"
    assert info("info-missing-stanza.json").archive_id is None


@pytest.mark.parametrize("answer", ["", "[]", "{}", "null", '[{"name":"orders"}]', "P00 ERROR: [055]: unable"])
def test_an_answer_that_is_none(answer: str) -> None:
    with pytest.raises(PgkeepError, match="cannot be read"):
        pgbackrest.parse_info(answer)


def test_listing() -> None:
    listing = pgbackrest.parse_listing(text("repo-ls-ok.json"))
    assert listing["backup/orders/latest"].kind == "link"
    assert listing["backup/orders/%s/bundle/1" % FULL].size > 1_000_000
    assert pgbackrest.labels_with_manifest(listing, pgbackrest.backup_folder(STANZA)) == {FULL, INCR, DIFF}
    assert sorted(pgbackrest.archived(STANZA, "17-1", listing)) == [
        "00000001000000000000000%d" % n for n in range(1, 7)
    ]
    assert pgbackrest.archived(STANZA, "16-1", listing) == {}
    assert len(pgbackrest.files(STANZA, listing)) > 20
    assert pgbackrest.files("order", listing) == []


def test_a_path_that_is_not_there_lists_nothing() -> None:
    assert pgbackrest.files(STANZA, pgbackrest.parse_listing(text("repo-ls-missing-path.json"))) == []


def test_an_interrupted_backup_has_no_manifest() -> None:
    listing = pgbackrest.parse_listing(text("repo-ls-interrupted.json"))
    assert "backup/orders/20261121-225445F/backup.manifest.copy" in listing
    assert "20261121-225445F" not in pgbackrest.labels_with_manifest(listing, pgbackrest.backup_folder(STANZA))


@pytest.mark.parametrize("answer", ["", "[]", '{"a": 1}', "ERROR: [041]: unable to get info"])
def test_a_listing_that_is_none(answer: str) -> None:
    with pytest.raises(PgkeepError, match="cannot be read"):
        pgbackrest.parse_listing(answer)


@pytest.mark.parametrize(
    "log, label",
    [
        ("log-backup-first-incr.txt", FULL),
        # It names the label of the last backup too, and what it could not resume.
        ("log-backup-diff.txt", DIFF),
        ("log-backup-page-errors.txt", "20261121-225434F"),
        ("log-backup-on-page-errors.txt", "20261121-225434F_20261121-225435I"),
        ("log-backup-crash.txt", None),
        ("log-backup-locked.txt", None),
    ],
)
def test_the_new_label_in_the_log(log: str, label: str | None) -> None:
    assert pgbackrest.new_label(text(log)) == label


@pytest.mark.parametrize(
    "log, labels",
    [
        ("log-expire-dry-run-nothing.txt", []),
        ("log-expire-diff.txt", [DIFF]),
        ("log-expire-dry-run-bad-pushes-good.txt", [FULL, INCR, DIFF]),
        ("log-expire-leftovers.txt", ["20261121-225445F"]),
    ],
)
def test_what_expiry_removes(log: str, labels: list[str]) -> None:
    assert pgbackrest.expired_labels(text(log)) == labels
