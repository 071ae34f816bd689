# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and container of a pooler, as text."""

from __future__ import annotations

import base64
import configparser
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _pooler_reader as reader
from ansible_collections.pgkeep.postgres.plugins.module_utils import _scram as scram
from ansible_collections.pgkeep.postgres.plugins.module_utils._container import differences
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .instance_options import FIXTURES, client, endpoints, options, pooler

RECORDED = json.loads((FIXTURES / "pooler_inspect.json").read_text())[0]
# The second cannot stand in PgBouncer's file.
CLIENTS = [client("app", "app"), client("Kunden & Söhne", "select")]


def declared(clients: Any = None, settings: Any = None, **more: Any) -> Any:
    values = options(clients=clients or CLIENTS, settings=settings or {"max_connections": 100}, pooler=pooler(**more))
    return declare(values, "sha256:server", "sha256:keeper", "sha256:pooler")


def watched(**more: Any) -> Any:
    """With a keeper that has endpoints, and so a poller."""
    values = options(
        clients=CLIENTS, settings={"max_connections": 100}, pooler=pooler(), keeper_http=endpoints(), **more
    )
    return declare(values, "sha256:server", "sha256:keeper", "sha256:pooler")


def files(result: Any) -> dict[str, str]:
    return {Path(file.path).name: file.content for file in result.files if "/pooler/" in file.path}


def ini(result: Any) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string(files(result)["pgbouncer.ini"])
    return parser


def test_each_database_has_its_size_and_a_limit_that_nothing_can_pass() -> None:
    databases = ini(declared(sizes={"app": 7}))["databases"]
    assert dict(databases) == {
        "postgres": "host=app port=5432 pool_size=2 min_pool_size=0 max_db_connections=4",
        "app": "host=app port=5432 pool_size=7 min_pool_size=2 max_db_connections=7",
        "*": "host=app port=5432 pool_size=20 min_pool_size=2 max_db_connections=20",
    }


def test_without_awkward_names_only_declared_databases_are_served() -> None:
    assert "*" not in ini(declared([client("app", "app")]))["databases"]


def test_a_pool_is_never_smaller_than_what_it_keeps_open() -> None:
    assert "pool_size=1 min_pool_size=1 " in ini(declared(size=1))["databases"]["app"]


def test_both_sides_are_encrypted_and_the_servers_name_is_verified() -> None:
    settings = ini(declared())["pgbouncer"]
    assert (settings["client_tls_sslmode"], settings["server_tls_sslmode"]) == ("require", "verify-full")


def test_nobody_gets_in_but_who_the_server_lets_in_from_there() -> None:
    text = files(declare(
        options(clients=CLIENTS, allowed_networks=["192.0.2.0/24"], settings={"max_connections": 100}, pooler=pooler()),
        "sha256:server", "sha256:keeper", "sha256:pooler",
    ))["pg_hba.conf"]  # fmt: skip
    assert text.splitlines()[1:] == [
        "hostssl postgres pgkeep_pooler 127.0.0.1/32 scram-sha-256",
        "hostssl postgres pgkeep_monitor 192.0.2.0/24 scram-sha-256",
        'hostssl "app" "app" 192.0.2.0/24 scram-sha-256',
        'hostssl "Kunden & Söhne" "select" 192.0.2.0/24 scram-sha-256',
    ]


def test_the_server_lets_the_pooler_in_wherever_its_clients_may_come_from() -> None:
    wanted = options(allowed_networks=["192.0.2.0/24"], settings={"max_connections": 100}, pooler=pooler())
    result = declare(wanted, "sha256:server", "sha256:keeper", "sha256:pooler")
    hba = next(file.content for file in result.files if file.path.endswith("server/pg_hba.conf"))
    assert 'hostssl "postgres" "pgkeep_pooler" samenet scram-sha-256' in hba
    assert 'hostssl "app" "app" samenet scram-sha-256' in hba
    alone = declare({**wanted, "pooler": None}, "sha256:server", "sha256:keeper")
    hba = next(file.content for file in alone.files if file.path.endswith("server/pg_hba.conf"))
    assert "samenet" not in hba
    assert "pgkeep_pooler" not in hba


def test_the_one_password_on_disk_is_that_of_the_role_that_looks_up_the_others() -> None:
    result = declared(password='pool"er')
    held = {file.path: file for file in result.files if "/pooler/" in file.path}
    assert held["/etc/pgkeep/app/pooler/userlist.txt"].content == '"pgkeep_pooler" "pool""er"\n'
    assert not any("-secret" in file.content for file in held.values())
    for name in ("userlist.txt", "server.key"):
        file = held["/etc/pgkeep/app/pooler/" + name]
        assert (file.secret, file.mode) == (True, 0o400)


def test_the_keeper_may_look_at_the_pooler_and_nothing_else() -> None:
    text = files(watched(allowed_networks=["192.0.2.0/24"]))
    assert text["pg_hba.conf"].splitlines()[1:5] == [
        "hostssl postgres pgkeep_pooler 127.0.0.1/32 scram-sha-256",
        "hostssl pgbouncer pgkeep_stats samenet scram-sha-256",
        "hostssl postgres pgkeep_monitor 192.0.2.0/24 scram-sha-256",
        "hostssl postgres pgkeep_monitor samenet scram-sha-256",
    ]
    assert text["pg_hba.conf"].count("pgkeep_stats") == 1
    settings = ini(watched())["pgbouncer"]
    assert settings["stats_users"] == "pgkeep_stats"
    assert "admin_users" not in settings
    assert "pgkeep_stats" not in files(declared())["pg_hba.conf"] + files(declared())["userlist.txt"]


def test_the_pooler_gets_a_verifier_of_what_the_keeper_derives_from_its_token() -> None:
    result = watched()
    line = files(result)["userlist.txt"].splitlines()[1]
    word = reader.password("keeper-secret")
    assert line == '"pgkeep_stats" "%s"' % reader.password_verifier("keeper-secret")
    salt = base64.b64decode(re.findall(r"\$4096:([^$]+)\$", line)[0])
    assert scram.verifier(word, salt) in line
    # Neither is in it, so nobody who reads the pooler's files can log in, or ask the keeper anything.
    assert "keeper-secret" not in line
    assert word not in line
    # The keeper reads the token from a file, with its line end.
    assert reader.password("keeper-secret\n") == word != reader.password("other-secret")
    topics = next(file for file in result.files if file.path.endswith("/keeper.json"))
    assert json.loads(topics.content)["pooler"] == {"host": "app-pooler"}
    assert not any("pgkeep_stats" in file.content for file in result.files if "/server/" in file.path)


def test_clients_of_the_host_find_both_ports() -> None:
    found = {Path(file.path).name: file.content for file in declared().files if "/client/" in file.path}
    assert re.findall(r"^\[(.*)\]\nhost=127.0.0.1\nport=(\d+)$", found["pg_service.conf"], re.MULTILINE) == [
        ("app", "5432"),
        ("Kunden & Söhne", "5432"),
        ("app-pooler", "6432"),
        ("Kunden & Söhne-pooler", "6432"),
    ]
    assert found["pgpass"].count("app-secret") == 2


def test_the_recorded_container_is_the_declared_one() -> None:
    values = options(name="pooler-app", port=16601, pooler=pooler(port=16602))
    spec = declare(values, "sha256:server", "sha256:keeper", RECORDED["Image"]).pooler
    assert spec is not None
    assert differences(spec, RECORDED) == {}
    host = RECORDED["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]) == (True, ["ALL"], False)


@pytest.mark.parametrize(
    "wish, words",
    [
        ({"size": -1}, "postgres_pooler_size is -1.*0 or more"),
        ({"min_size": -2}, "postgres_pooler_min_size"),
        ({"max_clients": 0}, "postgres_pooler_max_clients is 0.*1 or more"),
        ({"queue_timeout_seconds": 0}, "postgres_pooler_queue_timeout_seconds"),
        ({"sizes": {"app": 0}}, "postgres_pooler_sizes of app is 0"),
        ({"sizes": {"app": "many"}}, "postgres_pooler_sizes of app is many"),
        ({"sizes": {"Kunden & Söhne": 3}}, "Kunden & Söhne cannot be sized.*it gets postgres_pooler_size"),
        ({"port": 70000}, "70000.*correct postgres_pooler_port"),
        ({"port": 5432}, "5432 cannot be used twice for app"),
        ({"memory": "plenty"}, "memory limit of the pooler"),
        ({"size": 90}, r"exhaust the server.*1 x 90 for Kunden & Söhne \+ 1 x 90 for app \+ 4 of our own = 184, more"),
        ({"clients": [client("pgbouncer", "app")]}, "cannot serve the database pgbouncer.*rename the database"),
    ],
)
def test_what_no_pooler_can_have_is_refused(wish: Any, words: str) -> None:
    with pytest.raises(PgkeepError, match=words):
        declared(**wish)
