# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .instance_options import options

SECRETS = ("app-secret", "monitor-secret", "cipher-secret", "KEY")


def declared(**more):
    return declare(options(**more), "sha256:server", "sha256:keeper")


def test_every_file_with_a_secret_is_for_one_user_alone():
    for file in declared().files:
        holds_secret = any(secret in file.content for secret in SECRETS)
        assert file.secret == holds_secret, file.path
        if file.secret:
            assert file.mode == 0o400


def test_every_folder_of_a_file_is_declared_before_it():
    result = declared()
    folders = [folder.path for folder in result.folders]
    assert {file.path.rsplit("/", 1)[0] for file in result.files} <= set(folders)
    for path in folders:
        parent = path.rsplit("/", 1)[0]
        assert parent in ("/etc", "/var/lib") or folders.index(parent) < folders.index(path)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (
            {"settings": {"archive_command": "true", "work_mem": "8MB"}},
            "archive_command belong.*postgres_server_settings",
        ),
        ({"settings": {"Archive_Mode": "off"}}, "Archive_Mode belong"),
        ({"backup": {"options": {"repo1-cipher-type": "none"}}}, "repo1-cipher-type belong.*pgbackrest_options"),
        ({"backup": {"options": {"archive-push-queue-max": "1GB"}}}, "archive-push-queue-max"),
        ({"backup": {"retention_days": 0}}, "0 days.*postgres_server_retention_days"),
        ({"port": 99999}, "99999.*1 to 65535"),
        ({"bind_address": "300.1.1.1"}, "300.1.1.1.*postgres_server_bind_address"),
    ],
)
def test_what_no_machine_could_make_good_is_refused(wish, words):
    if "backup" in wish:
        wish = {"backup": {**options()["backup"], **wish["backup"]}}
    with pytest.raises(PgkeepError, match=words):
        declared(**wish)


def test_options_may_be_declared():
    more = {"process-max": 4, "repo1-bundle": "n"}
    assert declared(backup={**options()["backup"], "options": more}).files


@pytest.mark.parametrize("name", ["App", "a", "1app", "app_db", "app/../x", "a" * 40, "app-"])
def test_a_name_that_no_container_can_have_is_refused(name):
    with pytest.raises(PgkeepError, match="rename the inventory host"):
        declared(name=name)


def test_clients_on_the_host_never_connect_to_the_address_for_all():
    files = {file.path.rsplit("/", 1)[1]: file.content for file in declared(bind_address="0.0.0.0").files}
    assert "host=127.0.0.1\n" in files["pg_service.conf"]
    assert files["pgpass"].startswith("127.0.0.1:")
    assert declared(bind_address="0.0.0.0").server.ports == ("0.0.0.0:5432:5432",)


@pytest.mark.parametrize("address", ["::1", "[::1]", "0:0:0:0:0:0:0:1"])
def test_an_ipv6_address_is_one_address_however_it_is_written(address):
    result = declared(bind_address=address)
    files = {file.path.rsplit("/", 1)[1]: file.content for file in result.files}
    assert "host=::1\n" in files["pg_service.conf"]
    assert files["pgpass"].startswith("\\:\\:1:5432:")
    # The engine keeps it so; any other spelling would be a new container at each deploy.
    assert result.server.ports == ("::1:5432:5432",)
