# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entrypoint before several repositories, one of which is away, empty or behind."""

from __future__ import annotations

from typing import Iterator

import pytest

from .test_entrypoint import PREFIX, Lab, docker

# On the volume of the spool, which stays when that of the first repository is lost.
FOLDER = """
repo{number}-type=posix
repo{number}-path=/var/spool/pgbackrest/{number}
repo{number}-cipher-type=aes-256-cbc
repo{number}-cipher-pass=another passphrase
repo{number}-retention-full=2
"""
SECOND = FOLDER.format(number=2)
THIRD = FOLDER.format(number=3)
# The containers have no network.
AWAY = SECOND.replace("posix", "sftp") + "repo2-sftp-host=off-site.invalid\nrepo2-sftp-host-user=x\n"
AWAY += "repo2-sftp-private-key-file=/etc/pgbackrest/archive.conf\nrepo2-sftp-host-key-hash-type=sha256\n"


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An instance whose server is gone. The first repository has 4 rows, the second one 4, the third one 3.

    Here the server archives to all of them, which an instance of the collection does not: there the keeper does.
    """
    lab = Lab(PREFIX + "several", tmp_path_factory.mktemp("several"))
    lab.configure(further=SECOND + THIRD)
    all_of_them = (lab.home / "pgbackrest/pgbackrest.conf").read_text()
    (lab.home / "pgbackrest/archive.conf").write_text(all_of_them)
    try:
        lab.start()
        lab.wait_until_writable()
        lab.sql("create table kept as select generate_series(1, 3) as id")
        for number in "321":
            docker("exec", lab.name, "pgbackrest", "--stanza=" + lab.name, "--repo=" + number, "backup")
        (lab.home / "pgbackrest/archive.conf").write_text(all_of_them.replace(THIRD, ""))
        lab.sql("insert into kept values (4)")
        lab.sql("select pg_switch_wal()")
        docker("stop", lab.name)
        docker("rm", lab.name)
        yield lab
    finally:
        lab.remove()


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(PREFIX + "new", tmp_path_factory.mktemp("new"))
    try:
        yield lab
    finally:
        lab.remove()


def test_nothing_is_initialised_while_a_repository_does_not_answer(fresh: Lab) -> None:
    fresh.configure(further=AWAY)
    message = fresh.refusal()
    assert "repository 2 does not answer" in message
    assert "off-site.invalid" in message


def test_a_lost_volume_comes_back_from_the_first_while_another_is_away(lost: Lab) -> None:
    lost.configure(further=AWAY)
    lost.start(data="first")
    lost.wait_until_writable()
    assert lost.sql("select count(*) from kept") == "4"
    assert "--repo=1" in lost.sql("show restore_command")
    docker("rm", "--force", lost.name)


def test_a_start_that_was_told_its_repository_asks_no_other(lost: Lab) -> None:
    lost.configure(further=AWAY)
    message = lost.refusal(data="told", env=("PGKEEP_REPOSITORY=2",))
    assert "repository 2 does not answer" in message


def test_without_data_and_first_repository_the_others_serve_the_newest_wins(lost: Lab) -> None:
    # As another machine would see it: nothing here, two repositories elsewhere, one of them behind.
    third_is_ahead = SECOND.replace("pgbackrest/2", "pgbackrest/3") + THIRD.replace("pgbackrest/3", "pgbackrest/2")
    lost.configure(further=third_is_ahead)
    lost.start(data="blank", repo="blank-repo")
    lost.wait_until_writable()
    assert "from repository 3" in docker("logs", lost.name)
    assert lost.sql("select count(*) from kept") == "4"
    # The new first repository takes WAL at once.
    docker("exec", lost.name, "pgbackrest", "--config=/etc/pgbackrest/archive.conf", "--stanza=" + lost.name, "check")
    docker("rm", "--force", lost.name)


def test_a_first_repository_that_cannot_be_read_is_not_passed_over(lost: Lab) -> None:
    lost.configure(further=SECOND)
    lost.inside("chmod 0 /var/lib/pgbackrest/backup")
    try:
        message = lost.refusal(data="unread")
    finally:
        lost.inside("chmod 750 /var/lib/pgbackrest/backup")
    assert "repository 1 does not answer" in message
    assert "Permission denied" in message
