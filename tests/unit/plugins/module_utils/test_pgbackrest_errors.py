# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every recorded failure ends in words that name its cause and the next step."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._archive_worker import Worker
from ansible_collections.pgkeep.postgres.plugins.module_utils._pgbackrest_errors import (
    FULL_BYTES,
    Circumstances,
    archiver_words,
    excerpt,
    failure,
    not_archived,
)

from .recorded_pgbackrest import info, text

WHAT = "The backup of orders failed"


# file, exit code -> words of why, words of the next step, busy
@pytest.mark.parametrize(
    "log, rc, why, next_step, busy",
    [
        ("log-backup-locked.txt", 50, "another operation holds the repository", "running: false", True),
        (
            "log-backup-wrong-passphrase.bin",
            29,
            "cannot be decrypted with the configured passphrase",
            "Never create",
            False,
        ),
        (
            "log-expire-wrong-passphrase.bin",
            104,
            "cannot be decrypted with the configured passphrase",
            "put the",
            False,
        ),
        ("log-backup-missing-stanza.txt", 55, "no stanza of that name", "deploy the instance", False),
        ("log-annotate-unknown-label.txt", 75, "no such backup in the repository", "pgkeep info lists", False),
        ("log-backup-server-down.txt", 56, "PostgreSQL does not answer on its socket", "start the server", False),
        ("log-backup-other-cluster.txt", 51, "belongs to another cluster", "right data volume", False),
        ("log-backup-archive-timeout.txt", 82, "WAL does not reach the repository", "server's log", False),
        ("log-backup-clock.txt", 106, "the clock was set back, or the timezone was changed", "set the clock", False),
        ("log-backup-crash.txt", 139, "pgBackRest crashed", "damaged pages", False),
        ("log-backup-crash.txt", -11, "pgBackRest crashed", "damaged pages", False),
        ("log-backup-crash.txt", -9, "pgBackRest was killed", "memory limit", False),
        ("log-backup-crash.txt", 137, "pgBackRest was killed", "memory limit", False),
        ("stderr-repo-ls-denied.txt", 41, "a file may not be accessed", "uid 999", False),
    ],
)
def test_failures(log: str, rc: int, why: str, next_step: str, busy: bool) -> None:
    error = failure(WHAT, text(log), rc)
    assert error.what == WHAT
    assert why in error.why
    assert next_step in error.next_step
    assert error.busy is busy


@pytest.mark.parametrize(
    "name, why",
    [
        ("info-wrong-passphrase.bin", "the repository cannot be decrypted with the configured passphrase"),
        (
            "info-damaged.bin",
            "the information file that describes the repository is damaged, and so is its copy: [Format",
        ),
        ("info-denied.json", "a file may not be accessed: [PathOpenError] unable to list file info"),
        ("info-missing-data.json", "the repository holds files of the instance but not the information file"),
    ],
)
def test_the_status_of_info(name: str, why: str) -> None:
    assert failure(WHAT, info(name).message).why.startswith(why)


@pytest.mark.parametrize("name", ["info-damaged.bin", "info-missing-data.json"])
def test_without_its_information_files_no_full_backup_is_advised_that_could_not_be_taken(name: str) -> None:
    steps = failure(WHAT, info(name).message).next_step
    order = [
        steps.index(words) for words in ("from a copy", "folders below backup/ and archive/", "stanza-create", "full")
    ]
    assert order == sorted(order)


def test_another_damaged_file_is_cured_by_a_new_full_backup() -> None:
    text = "ERROR: [026]: invalid checksum in file '/var/lib/pgbackrest/backup/orders/20261124-062426F/backup.manifest'"
    error = failure(WHAT, text, 26)
    assert error.why.startswith("a file of the repository is damaged: [026]")
    assert "take a new full backup" in error.next_step


def test_nothing_unreadable_reaches_a_message() -> None:
    for name in ("info-wrong-passphrase.bin", "info-damaged.bin"):
        message = str(failure(WHAT, info(name).message))
        assert message.isascii()
        assert message.isprintable()
        assert len(message) < 1100


def test_a_hint_to_create_the_stanza_is_never_passed_on() -> None:
    for name in ("log-backup-wrong-passphrase.bin", "log-backup-missing-stanza.txt"):
        assert "stanza-create" in text(name)
        assert "stanza-create" not in str(failure(WHAT, text(name), 29))


# pgBackRest tells a full disk as "No such file or directory" here, and as a timeout there.
def test_a_full_disk_during_the_backup() -> None:
    log = text("log-backup-disk-full.txt")
    assert "No space left" not in log
    assert "No such file or directory" in log
    error = failure(WHAT, log, 64, Circumstances(free_bytes=4096))
    assert error.why.startswith("the disk of the repository is full: [064]")
    assert error.why.endswith("4096 bytes are free")
    assert "free space" in error.next_step
    assert "full" not in failure(WHAT, log, 64, Circumstances(free_bytes=FULL_BYTES)).why


def test_a_full_disk_seen_by_the_archiver() -> None:
    log = text("log-backup-archive-timeout.txt")
    error = failure(WHAT, log, 82, Circumstances(text("spool-disk-full.txt"), 500_000_000))
    assert error.why.startswith("the disk of the repository is full: [082]: WAL segment")
    assert "the archiver says: repo1: [FileWriteError] unable to write" in error.why


def test_between_two_attempts_the_archiver_has_no_words():
    assert not_archived(Circumstances("")).why == "pgBackRest said: nothing yet, it tries again"


def test_a_worker_that_hangs_and_one_with_old_settings_are_told_apart() -> None:
    hanging, stale = Worker(1795301234, 1795301000), Worker(1795301234, 1795301240)
    error = not_archived(Circumstances("", 500_000_000, worker=hanging))
    assert error.why == "the archiver's worker hangs: it began at 2026-11-21T22:47:14Z"
    error = not_archived(Circumstances("", 500_000_000, worker=stale))
    assert error.why == (
        "the archiver works with stale configuration: it began at 2026-11-21T22:47:14Z; the settings changed at"
        " 2026-11-21T22:47:20Z"
    )
    assert "deploy.yml" in error.next_step
    # A worker that says what it meets does not hang, but may be wrong.
    words = text("spool-disk-full.txt")
    assert not_archived(Circumstances(words, worker=hanging)).why.startswith("the disk of the repository is full: the")
    assert not_archived(Circumstances(words, worker=stale)).why.startswith("the archiver works with stale")
    # What it does is no reason for anything else.
    error = failure(WHAT, text("log-backup-server-down.txt"), 56, Circumstances(worker=stale))
    assert error.why.startswith("PostgreSQL does not answer")


def test_a_lock_is_a_lock_also_on_a_full_disk() -> None:
    error = failure(WHAT, text("log-backup-locked.txt"), 50, Circumstances(text("spool-disk-full.txt"), 0))
    assert (error.busy, "full" in error.why) == (True, False)


def test_the_archiver_tells_of_another_cluster() -> None:
    around = Circumstances(text("spool-other-cluster.txt"), 500_000_000)
    error = failure(WHAT, text("log-backup-archive-timeout.txt"), 82, around)
    assert error.why.startswith("the repository belongs to another cluster")


def test_the_archivers_words_are_told_once() -> None:
    words = archiver_words(text("spool-disk-full.txt"))
    assert words.startswith("repo1: [FileWriteError] unable to write")
    assert words.endswith("[28] No space left on device")
    assert archiver_words("") == ""


def test_excerpt_takes_the_errors_of_a_log() -> None:
    assert excerpt(text("log-backup-locked.txt")) == (
        "[050]: unable to acquire lock on file '/var/spool/pgbackrest/lock/orders-backup-1.lock':"
        " Resource temporarily unavailable"
    )


def test_a_damaged_table_explains_a_crash() -> None:
    around = Circumstances(damaged=("postgres: public.ärger (invalid page in block 7)",))
    error = failure(WHAT, text("log-backup-crash.txt"), 139, around)
    assert error.why == "pgBackRest crashed: unreadable table postgres: public.ärger (invalid page in block 7)"


def test_silence_is_told_as_such() -> None:
    error = failure(WHAT, "", 3)
    assert error.why == "pgBackRest said: exit code 3 and no message"
    assert "--log-level-console=detail" in error.next_step
