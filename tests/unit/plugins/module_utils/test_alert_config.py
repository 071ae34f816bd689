# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the inventory's variable to receivers; what cannot be meant is refused with its place."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.filter.alerts import FilterModule
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert_config import (
    Config,
    Deadman,
    Email,
    Thresholds,
    Webhook,
    load,
    parse,
    split,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .instance_options import options

HOOK = {"url": "https://hooks.example.org/key", "token": "t0ken"}
MAIL = {"host": "mail.example.org", "from": "pgkeep@example.org", "to": ["oncall@example.org"]}
FULL = {
    "webhooks": [{**HOOK, "name": "ops"}, {"url": "http://127.0.0.1:8000/", "token": "t0ken2", "format": "slack"}],
    "email": {**MAIL, "username": "keeper", "password": "passw0rd"},
    "deadman_url": "https://ping.example.org/uuid",
    "deadman_interval_seconds": 60,
    "repeat_seconds": 600,
    "thresholds": {"disk_percent": 90},
}


def through(wanted):
    """As the keeper reads what the filter made of wanted."""
    made = split(wanted, "db1")
    # Through the file keeper.json.
    topic = json.loads(json.dumps(made["topic"]))
    return parse("orders", topic, lambda name: made["files"][name].rstrip("\n"), lambda name: "/keeper/" + name)


def test_everything_that_can_be_said():
    assert through(FULL) == Config(
        "db1",
        (
            Webhook("ops", HOOK["url"], "json", "t0ken"),
            Webhook("webhook-2", "http://127.0.0.1:8000/", "slack", "t0ken2"),
            Email(
                "mail.example.org", 587, "starttls", "pgkeep@example.org", ("oncall@example.org",), "keeper", "passw0rd"
            ),
        ),
        Deadman("https://ping.example.org/uuid", 60),
        600,
        Thresholds(disk_percent=90),
    )


def test_what_is_secret_is_in_files_and_nowhere_else():
    made = split(FULL, "db1")
    text = json.dumps(made["topic"])
    for hidden in ("hooks.example.org", "t0ken", "t0ken2", "passw0rd", "uuid", "127.0.0.1"):
        assert hidden not in text
    assert made["files"] == {
        "alerts-webhook-1.url": HOOK["url"] + "\n",
        "alerts-webhook-1.token": "t0ken\n",
        "alerts-webhook-2.url": "http://127.0.0.1:8000/\n",
        "alerts-webhook-2.token": "t0ken2\n",
        "alerts-email.password": "passw0rd\n",
        "alerts.deadman_url": "https://ping.example.org/uuid\n",
    }
    # Names that the module instance takes.
    declare(options(keeper={"alerts": made["topic"]}, keeper_secrets=made["files"]), "sha256:a", "sha256:b")


def test_nobody_to_tell_is_no_topic_and_no_network():
    assert split({}, "db1") == {"topic": {}, "files": {}}
    none = declare(options(keeper={"alerts": {}}), "sha256:a", "sha256:b")
    some = declare(options(keeper={"alerts": split(FULL, "db1")["topic"]}), "sha256:a", "sha256:b")
    assert (none.keeper.network, some.keeper.network) == ("none", "pgkeep")


@pytest.mark.parametrize(
    "wanted, why",
    [
        ({"webhooks": []}, "it names no receiver"),
        ({"thresholds": {"disk_percent": 90}}, "it names no receiver"),
        ({"webhook": [HOOK]}, "there is no webhook; known are deadman_url, deadman_ca, host, webhooks"),
        (
            {"webhooks": [{**HOOK, "tokenn": "t0ken"}]},
            "there is no webhooks\\[1\\].tokenn; known are url, token, ca, name",
        ),
        ({"webhooks": [HOOK, {"format": "slack"}]}, "webhooks\\[2\\].url is missing"),
        ({"webhooks": HOOK}, "webhooks is not a list"),
        ({"webhooks": ["https://hooks.example.org/key"]}, "webhooks\\[1\\] is not a dictionary"),
        ({"webhooks": [{"url": "hooks.example.org/key"}]}, "webhooks\\[1\\].url is no URL that begins with https"),
        (
            {"webhooks": [{"url": "ftp://hooks.example.org/key"}]},
            "webhooks\\[1\\].url is no URL that begins with https",
        ),
        ({"webhooks": [{"url": "https://hooks.example.org:port/key"}]}, "webhooks\\[1\\].url is no URL: Port"),
        (
            {"webhooks": [{**HOOK, "url": "http://10.0.0.1/key"}]},
            "token would travel in the clear: the url of 10.0.0.1",
        ),
        ({"webhooks": [{**HOOK, "format": "xml"}]}, "webhooks\\[1\\].format is 'xml'; known are json, slack"),
        ({"webhooks": [{**HOOK, "ca": "no certificate"}]}, "ca holds no certificates in PEM form"),
        ({"webhooks": [{**HOOK, "name": "a"}, {**HOOK, "name": "a"}]}, "two receivers have the same name: a, a"),
        ({"webhooks": [{**HOOK, "name": "email"}], "email": MAIL}, "two receivers have the same name"),
        ({"email": {"host": "mail.example.org"}}, "email.from, email.to is missing"),
        ({"email": {**MAIL, "to": ["oncall"]}}, "'oncall' is no address of e-mail"),
        ({"email": {**MAIL, "username": "keeper"}}, "email.username and email.password belong together"),
        ({"email": {**MAIL, "password": "passw0rd"}}, "email.username and email.password belong together"),
        ({"email": {**MAIL, "tls": "ssl"}}, "email.tls is 'ssl'; known are starttls, tls, none"),
        (
            {"email": {**MAIL, "tls": "none", "username": "keeper", "password": "passw0rd"}},
            "email.password would travel in the clear: email.tls is none",
        ),
        ({"email": {**MAIL, "port": "smtp"}}, "email.port is 'smtp', which is no number of that kind"),
        (
            {"webhooks": [HOOK], "thresholds": {"disk": 90}},
            "there is no thresholds.disk; known are server_down_seconds",
        ),
        ({"webhooks": [HOOK], "thresholds": {"disk_percent": True}}, "disk_percent is True, which is no number"),
        ({"webhooks": [HOOK], "repeat_seconds": -1}, "repeat_seconds is -1, which is no number of that kind"),
        ({"deadman_url": "ping.example.org"}, "deadman_url is no URL"),
    ],
)
def test_what_cannot_be_meant(wanted, why):
    with pytest.raises(PgkeepError, match=why) as caught:
        through(wanted)
    assert caught.value.what == "The alerts of orders cannot be set up"
    assert caught.value.next_step.startswith("correct postgres_backup_alerts in the inventory")
    for hidden in ("t0ken", "passw0rd", "/key"):
        assert hidden not in str(caught.value)


def test_a_secret_under_a_wrong_name_does_not_reach_a_file_that_is_shown():
    assert "t0ken" not in json.dumps(split({"webhooks": [{"tokenn": "t0ken"}], "passwort": "t0ken"}, "db1")["topic"])


@pytest.mark.parametrize("tls, port", [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_from_the_encryption(tls, port):
    assert through({"email": {**MAIL, "tls": tls}}).receivers[0].port == port


def test_the_keeper_reads_its_files(tmp_path):
    made = split({"webhooks": [HOOK]}, "db1")
    (tmp_path / "keeper.json").write_text(json.dumps({"alerts": made["topic"]}))
    keeper = Keeper("orders", None, "/data", config=str(tmp_path))
    with pytest.raises(PgkeepError, match="misses a secret"):
        load(keeper)
    for name, content in made["files"].items():
        (tmp_path / name).write_text(content)
    assert load(keeper).receivers == (Webhook("webhook-1", HOOK["url"], "json", "t0ken"),)
    (tmp_path / "keeper.json").write_text("{}")
    assert load(keeper) is None


def test_the_filter_says_what_it_wants():
    made = FilterModule().filters()["alerts"]
    assert made(FULL, "db1") == split(FULL, "db1")
    with pytest.raises(AnsibleFilterError, match="is not a dictionary"):
        made([HOOK], "db1")
