# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._container import aside
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .instance_options import endpoints, options, pooler

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
        ({"keeper_http": endpoints(port=0)}, "postgres_server_keeper_port"),
        ({"keeper_http": endpoints(port=5432)}, "5432 cannot be used twice.*postgres_server_keeper_port"),
        ({"keeper_http": endpoints(port=6432), "pooler": pooler()}, "6432 cannot be used twice"),
        ({"keeper_http": endpoints(token="")}, "without a token"),
        ({"keeper_http": endpoints(bind_address="nowhere")}, "nowhere.*postgres_server_keeper_bind_address"),
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


def test_endpoints_are_published_where_the_inventory_says_and_the_token_is_a_file():
    result = declared(keeper_http=endpoints(bind_address="[::1]"))
    assert (result.keeper.ports, result.keeper.network) == (("::1:9432:8432",), "pgkeep")
    assert "/dev/tcp/127.0.0.1/8432" in result.keeper.health.command
    tokens = [file for file in result.files if "keeper-secret" in file.content]
    assert [(file.path, file.mode, file.uid, file.secret) for file in tokens] == [
        ("/etc/pgkeep/app/client/keeper.token", 0o400, 0, True),
        ("/etc/pgkeep/app/client/keeper.curl", 0o400, 0, True),
        ("/etc/pgkeep/app/keeper/keeper.token", 0o400, 999, True),
    ]
    topics = json.loads(next(file.content for file in result.files if file.path.endswith("keeper.json")))
    assert topics["http"] == {"environment": "production", "interval_seconds": 5}
    assert "keeper-secret" not in json.dumps(result.keeper.to_dict())
    # The server is the same as without: nobody is interrupted by endpoints.
    assert result.server == declared().server


def test_without_endpoints_the_keeper_is_as_it_was():
    result = declared()
    assert (result.keeper.ports, result.keeper.network, result.keeper.health) == ((), "none", None)
    assert not [file for file in result.files if file.path.endswith("keeper.token")]


def test_a_command_beside_the_keeper_publishes_nothing():
    spec = aside(declared(keeper_http=endpoints()).keeper)
    assert (spec.ports, spec.network, spec.health, spec.restart) == ((), "none", None, "no")
