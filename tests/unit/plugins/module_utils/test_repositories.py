# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Further repositories: what is refused, and which file knows which of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _repositories as repositories
from ansible_collections.pgkeep.postgres.plugins.module_utils import _rules
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import Declared, declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .instance_options import options

S3 = {
    "number": 2,
    "type": "s3",
    "path": "/orders",
    "cipher_pass": "second-passphrase",
    "retention_days": 30,
    "options": {"s3-bucket": "b", "s3-endpoint": "s3.example.com", "s3-region": "r", "s3-key": "id"},
    "secret_options": {"s3-key-secret": "hidden-word"},
    "files": {"storage-ca-file": "AUTHORITY\n"},
}
SFTP = {
    "number": 3,
    "type": "sftp",
    "path": "/srv/orders",
    "cipher_pass": "third-passphrase",
    "retention_days": 14,
    "options": {"sftp-host": "off.example.com", "sftp-host-user": "orders"},
    "files": {"sftp-private-key-file": "PRIVATE\n"},
}
DISK = {"number": 4, "type": "posix", "path": "/mnt/nas", "cipher_pass": "fourth-passphrase", "retention_days": 1}


def declared(*entries: dict[str, Any], **tool: Any) -> Declared:
    backup = {**options()["backup"], "options": tool, "repositories": list(entries)}
    return declare(options(backup=backup), "sha256:server", "sha256:keeper")


def files(*entries: dict[str, Any]) -> dict[str, str]:
    """File name -> content of the folder of pgBackRest's settings."""
    return {
        file.path.rsplit("/", 1)[1]: file.content for file in declared(*entries).files if "/pgbackrest/" in file.path
    }


def prefixes(text: str) -> set[str]:
    return {line.split("-")[0] for line in text.splitlines() if line.startswith("repo")}


def test_each_file_knows_the_repositories_it_is_for() -> None:
    found = files(SFTP, S3)
    assert prefixes(found["pgbackrest.conf"]) == {"repo1", "repo2", "repo3"}
    assert prefixes(found["archive.conf"]) == {"repo1"}
    assert prefixes(found["repository2.conf"]) == {"repo2"}
    assert prefixes(found["repository3.conf"]) == {"repo3"}
    assert found["repository2.storage-ca-file"] == "AUTHORITY\n"
    assert found["repository3.sftp-private-key-file"] == "PRIVATE\n"


def test_a_repository_is_encrypted_and_kept_by_time() -> None:
    lines = files(S3)["repository2.conf"].splitlines()
    assert {
        "repo2-type=s3",
        "repo2-path=/orders",
        "repo2-cipher-type=aes-256-cbc",
        "repo2-cipher-pass=second-passphrase",
        "repo2-retention-full-type=time",
        "repo2-retention-full=30",
        "repo2-s3-key-secret=hidden-word",
        "repo2-storage-ca-file=/etc/pgbackrest/repository2.storage-ca-file",
    } <= set(lines)
    assert repositories.parse(files(S3, SFTP)["pgbackrest.conf"]) == {1: "posix", 2: "s3", 3: "sftp"}


def test_options_of_the_first_repository_reach_no_file_without_it() -> None:
    backup = {**options()["backup"], "options": {"repo1-bundle": "n", "process-max": 4}, "repositories": [S3]}
    found = {
        file.path.rsplit("/", 1)[1]: file.content
        for file in declare(options(backup=backup), "sha256:server", "sha256:keeper").files
    }
    assert "repo1-bundle=n" in found["archive.conf"]
    assert "repo1" not in found["repository2.conf"]
    assert "process-max=4" in found["repository2.conf"]


def test_every_file_beside_them_is_for_the_container_alone() -> None:
    found = [file for file in declared(S3, SFTP).files if "/pgbackrest/" in file.path]
    assert len(found) == 6
    assert all(file.secret and file.mode == 0o400 for file in found)


def test_no_secret_is_shown_by_accident() -> None:
    shown = repr(repositories.declared([S3, SFTP]))
    assert not [word for word in ("passphrase", "hidden-word", "PRIVATE") if word in shown]


def test_only_what_is_elsewhere_gives_the_keeper_a_network() -> None:
    assert declared().keeper.network == "none"
    assert declared(DISK).keeper.network == "none"
    assert declared(S3).keeper.network == "pgkeep"


def test_a_folder_of_the_host_is_mounted() -> None:
    found = declared(DISK)
    assert "/mnt/nas:/var/lib/pgbackrest-4" in found.server.mounts
    assert "/mnt/nas:/var/lib/pgbackrest-4" in found.keeper.mounts
    assert "repo4-path=/var/lib/pgbackrest-4\n" in files(DISK)["repository4.conf"]


def test_the_server_archives_to_the_first_one_alone() -> None:
    settings = next(file.content for file in declared(S3).files if file.path.endswith("/10-base.conf"))
    assert "archive_command = 'pgbackrest --config=/etc/pgbackrest/archive.conf --stanza=app" in settings


@pytest.mark.parametrize(
    "change, words",
    [
        ({"number": 1}, "Repository 1 of app.*numbers are 2 to 256"),
        ({"number": 257}, "numbers are 2 to 256"),
        ({"number": 3}, "Repository 3.*given twice"),
        ({"type": "ftp"}, "type ftp is none of s3, sftp"),
        ({"path": "orders"}, "'orders' is not an absolute path"),
        ({"path": "/"}, "'/' is not an absolute path"),
        ({"type": "posix", "path": "/a:b"}, "colon"),
        ({"retention_days": 0}, "0 days"),
        ({"cipher_pass": "short"}, "shorter than 12"),
        ({"options": {"repo2-s3-bucket": "b"}}, "repo2-s3-bucket: options are written without the prefix"),
        ({"options": {"S3 bucket": "b"}}, "'S3 bucket' cannot be options"),
        ({"options": {"cipher-type": "none"}}, "cipher-type belong to"),
        ({"secret_options": {"retention-full": 1}}, "retention-full belong to"),
        ({"options": {"storage-ca-file": "/etc/ca"}}, "storage-ca-file are given as value and as file"),
        ({"options": {"s3-key": "a\nrepo1-cipher-type=none"}}, "s3-key have more than one line"),
    ],
)
def test_mistakes_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(PgkeepError, match=words) as caught:
        declared({**S3, **change}, SFTP)
    assert "postgres_backup_repositories" in caught.value.next_step


def test_another_repository_among_the_options_of_pgbackrest_is_refused() -> None:
    with pytest.raises(PgkeepError, match="repo2-type belong to another.*postgres_backup_repositories"):
        declared(**{"repo2-type": "s3"})


def test_drills_of_a_repository_that_is_not_declared_are_refused() -> None:
    wanted = options()
    wanted["backup"] = {**wanted["backup"], "repositories": [S3]}
    wanted["keeper"] = {"drill": {"repositories": [1, 2]}}
    _rules.refuse_options(wanted)
    wanted["keeper"] = {"drill": {"repositories": [2, 4]}}
    with pytest.raises(PgkeepError, match="no repository 4; declared are 1, 2.*postgres_backup_drill_repositories"):
        _rules.refuse_options(wanted)


@pytest.mark.parametrize(
    "change, refused", [({}, False), ({"cipher_pass": "quite another one"}, True), ({"path": "/new"}, False)]
)
def test_a_passphrase_is_for_life(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], refused: bool
) -> None:
    before = files(S3)["pgbackrest.conf"]
    monkeypatch.setattr(_rules, "read", lambda path: before)
    changed = {**S3, "cipher_pass": "quite another one", **change} if "path" in change else {**S3, **change}
    if not refused:
        _rules._refuse_other_passphrase(lambda argv: None, declared(changed))
        return
    with pytest.raises(PgkeepError, match="passphrase of repository 2.*repository2.passphrase"):
        _rules._refuse_other_passphrase(lambda argv: None, declared(changed))
