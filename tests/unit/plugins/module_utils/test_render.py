# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _render as render


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (True, "name = 'on'"),
        (False, "name = 'off'"),
        (200, "name = '200'"),
        ("it's", "name = 'it''s'"),
        ("back\\slash", "name = 'back\\\\slash'"),
    ],
)
def test_a_setting_is_quoted_as_postgresql_reads_it(value, line):
    assert render.settings_conf("app", "why", {"name": value}).splitlines()[-1] == line


def test_settings_are_sorted_so_that_a_diff_shows_what_changed():
    text = render.settings_conf("app", "why", {"b": 1, "a": 2})
    assert re.findall(r"^([ab]) =", text, re.MULTILINE) == ["a", "b"]


def test_reserved_connections_exist_from_16_on():
    assert "reserved_connections" in render.base_settings("app", 16)
    assert "reserved_connections" not in render.base_settings("app", 15)


@pytest.mark.parametrize("name", ["all", "+group", "my db", 'with"quote', "sameuser"])
def test_names_in_hba_lose_their_special_meaning(name):
    quoted = render.hba_name(name)
    assert quoted.startswith('"')
    assert quoted[1:-1].replace('""', '"') == name


def test_hba_lets_the_superuser_in_over_the_socket_only():
    text = render.pg_hba(
        "app", [("app", "app")], ["samenet", "192.0.2.0/24"], ["hostssl x y z scram-sha-256"], "monitor"
    )
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[0] == "local all postgres peer map=pgkeep"
    assert all(line.startswith("hostssl") for line in lines[2:])
    assert 'hostssl "app" "app" 192.0.2.0/24 scram-sha-256' in lines
    assert lines[-1] == "hostssl x y z scram-sha-256"
    assert not [line for line in lines if "trust" in line or "md5" in line]
    # From everywhere comes only whom the inventory lets in.
    assert "0.0.0.0/0" not in text
    assert "::/0" not in text


def test_pgbackrest_is_encrypted_kept_by_time_and_options_win():
    text = render.pgbackrest_conf(
        "app", 17, [render.first_repository("secret", 7)], {"process-max": 4, "repo1-bundle": False}
    )
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert settings["repo1-cipher-type"] == "aes-256-cbc"
    assert settings["repo1-cipher-pass"] == "secret"
    assert (settings["repo1-retention-full-type"], settings["repo1-retention-full"]) == ("time", "7")
    assert (settings["process-max"], settings["repo1-bundle"]) == ("4", "n")
    assert settings["pg1-path"] == "/var/lib/postgresql/17/data"
    assert "archive-push-queue-max" not in settings
    assert text.index("[global]") < text.index("[app]")


def test_a_service_verifies_the_certificate_and_holds_no_password():
    entry = {"service": "app", "database": "app", "user": "app", "password": "hidden-word"}
    text = render.pg_service_conf("app", "127.0.0.1", {"": 5432}, "/etc/pgkeep/app/client", [entry])
    assert "[app]\n" in text
    assert "sslmode=verify-full\n" in text
    assert "hidden-word" not in text
