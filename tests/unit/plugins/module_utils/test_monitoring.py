# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alertmanager, _monitoring
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

ROOT = Path(__file__).parents[4]
RULES = yaml.safe_load((ROOT / "roles/postgres_monitoring/files/pgkeep.rules.yml").read_text())
HERE = _monitoring.watch("app", {"postgres_server_network": "net"}, True, "watcher")
THERE = {
    "ansible_host": "192.0.2.7",
    "postgres_server_port": 5433,
    "postgres_server_bind_address": "0.0.0.0",
    "postgres_server_keeper_bind_address": "192.0.2.8",
}
MATCHER = re.compile(r'(\w+)(=|!=|=~|!~)"(.*)"')
MAIL = {"host": "mail.example.org", "from": "a@example.org", "to": ["b@example.org", "c@example.org"]}


def alerts() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]


def prometheus(**more: Any) -> dict[str, str]:
    remote = _monitoring.watch("crm", THERE, False, "watcher")
    words: dict[str, Any] = {"rules": RULES, "disabled": [], "own_rules": {}, "tokens": {"app": "a1", "crm": "c1"}}
    return _monitoring.prometheus([HERE, remote], "stack", "watcher", 15, **{**words, **more})


def alertmanager(wanted: dict[str, Any], deadman_url: str = "") -> dict[str, Any]:
    files = _alertmanager.alertmanager(wanted, deadman_url, _alertmanager.Times(), "")
    return {**json.loads(files["alertmanager.yml"]), "files": files}


def people(config: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in config["receivers"] if each["name"] == "people")


def test_the_same_machine_is_reached_over_its_network() -> None:
    assert (HERE.keeper, HERE.server, HERE.network) == ("app-keeper:8432", "app:5432", "net")


def test_another_machine_is_reached_where_it_is_bound() -> None:
    found = _monitoring.watch("crm", THERE, False, "watcher")
    assert (found.keeper, found.server, found.network) == ("192.0.2.8:9433", "192.0.2.7:5433", "")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("postgres_server_keeper_bind_address", "the keeper is bound to 127.0.0.1"),
        ("postgres_server_bind_address", "the server is bound to 127.0.0.1"),
    ],
)
def test_another_machine_on_its_loopback_is_refused(missing: str, words: str) -> None:
    variables = {key: value for key, value in THERE.items() if key != missing}
    with pytest.raises(PgkeepError, match=words) as error:
        _monitoring.watch("crm", variables, False, "watcher")
    assert missing in error.value.next_step


def test_a_keeper_that_answers_nobody_is_refused() -> None:
    with pytest.raises(PgkeepError, match="answers nobody"):
        _monitoring.watch("app", {"postgres_server_keeper_http": False}, True, "watcher")


def test_tokens_are_files_and_nowhere_else() -> None:
    files = prometheus()
    assert (files["app.token"], files["crm.token"]) == ("a1\n", "c1\n")
    jobs = {job["job_name"]: job for job in json.loads(files["prometheus.yml"])["scrape_configs"]}
    assert jobs["keeper-crm"]["authorization"] == {"credentials_file": "/etc/pgkeep-monitoring/current/crm.token"}
    assert jobs["keeper-crm"]["static_configs"][0]["labels"] == {"instance": "crm", "cluster": "crm", "job": "keeper"}
    # The repository of the other machine cannot be seen from here.
    assert [each["labels"]["instance"] for each in jobs["pgbackrest"]["static_configs"]] == ["app"]
    assert "c1" not in files["prometheus.yml"]


def test_an_alert_can_be_disabled_and_only_one_that_is_there() -> None:
    files = prometheus(disabled=["BackupTooOld"], own_rules={"mine.yml": "groups: []\n"})
    left = [rule.get("alert") for group in json.loads(files["rules-pgkeep.yml"])["groups"] for rule in group["rules"]]
    assert "BackupTooOld" not in left
    assert "BackupMissing" in left
    assert [Path(name).name for name in json.loads(files["prometheus.yml"])["rule_files"]] == [
        "rules-own-mine.yml",
        "rules-pgkeep.yml",
    ]
    with pytest.raises(PgkeepError, match="no alert BackupTooYoung"):
        prometheus(disabled=["BackupTooYoung"])


def test_a_token_is_no_rules_whatever_the_instance_is_called() -> None:
    named = _monitoring.watch("rules-db", {}, True, "watcher")
    files = _monitoring.prometheus([named], "stack", "watcher", 15, RULES, [], {}, {"rules-db": "t0ken"})
    assert files["rules-db.token"] == "t0ken\n"
    current = "/etc/pgkeep-monitoring/current/"
    assert json.loads(files["prometheus.yml"])["rule_files"] == [current + "rules-pgkeep.yml"]


def test_the_exporter_verifies_whom_it_tells_the_password() -> None:
    files = _monitoring.postgres_exporter([HERE], {"app": "pw"}, {"app": "PEM"})
    module = json.loads(files["postgres_exporter.yml"])["auth_modules"]["app"]
    assert module["userpass"] == {"username": "pgkeep_monitor", "password": "pw"}
    assert module["options"]["sslmode"] == "verify-full"
    assert files["app.ca.crt"] == "PEM"


def test_receivers_are_those_of_the_keeper() -> None:
    hook = {"url": "https://ops.example.org/key", "token": "t0ken"}
    chat = {"url": "https://chat.example.org/key", "format": "slack"}
    login = {"username": "u", "password": "pw"}
    config = alertmanager(
        {"webhooks": [chat, hook], "email": {**MAIL, **login}, "deadman_url": "https://x.example.org"}
    )
    told = people(config)
    current = "/etc/pgkeep-monitoring/current/"
    assert told["slack_configs"][0]["api_url_file"] == current + "alerts-webhook-1.url"
    assert told["webhook_configs"][0]["url_file"] == current + "alerts-webhook-2.url"
    assert told["webhook_configs"][0]["http_config"] == {
        "authorization": {"credentials_file": current + "alerts-webhook-2.token"}
    }
    mail = told["email_configs"][0]
    assert (mail["smarthost"], mail["to"], mail["require_tls"]) == (
        "mail.example.org:587",
        "b@example.org, c@example.org",
        True,
    )
    assert mail["auth_password_file"] == current + "alerts-email.password"
    # The dead man's switch of the keepers is theirs.
    assert [each["name"] for each in config["receivers"]] == ["nobody", "people", "test"]
    for secret in ("t0ken", '"pw"', "example.org/key"):
        assert secret not in config["files"]["alertmanager.yml"]


def test_nobody_to_tell_is_no_error() -> None:
    assert people(alertmanager({})) == {"name": "people"}


def test_a_receiver_that_the_keeper_refuses_is_refused() -> None:
    with pytest.raises(PgkeepError, match="travel in the clear"):
        alertmanager({"webhooks": [{"url": "http://ops.example.org", "token": "x"}]})


def test_mail_that_alertmanager_cannot_encrypt_is_refused() -> None:
    with pytest.raises(PgkeepError, match="email.port is 4650"):
        alertmanager({"email": {**MAIL, "tls": "tls", "port": 4650}})


def test_a_sign_of_life_goes_to_its_own_receiver() -> None:
    config = alertmanager({}, "https://deadman.example.org/key")
    first = config["route"]["routes"][0]
    assert first["receiver"] == "deadman"
    assert config["files"]["deadman.url"] == "https://deadman.example.org/key\n"
    # Alertmanager looks at each interval whether what it told last is as old as this, and it told a moment after the
    # last interval: of two equal ones it would tell at every second one.
    interval, repeat = (int(first[name][:-1]) for name in ("group_interval", "repeat_interval"))
    assert interval == 60
    # Other files begin a new interval at once.
    assert interval + repeat <= 90


def inhibited(target: dict[str, str], source: dict[str, str]) -> bool:
    """As Alertmanager decides it: regular expressions fit as a whole, and a label that both lack is equal."""

    def fits(labels: dict[str, str], matchers: list[str]) -> bool:
        for name, operator, wanted in (MATCHER.fullmatch(each).groups() for each in matchers):
            found = labels.get(name, "")
            same = bool(re.fullmatch(wanted, found)) if "~" in operator else wanted == found
            if same == operator.startswith("!"):
                return False
        return True

    return any(
        fits(source, rule["source_matchers"])
        and fits(target, rule["target_matchers"])
        and all(source.get(name, "") == target.get(name, "") for name in rule["equal"])
        for rule in alertmanager({})["inhibit_rules"]
    )


def firing(alert: str, **labels: str) -> dict[str, str]:
    rule = next(each for each in alerts() if each["alert"] == alert)
    where = {} if rule["labels"]["component"] == "host" else {"cluster": "c"}
    return {"alertname": alert, "instance": "a", **where, **rule["labels"], **labels}


def test_an_inhibition_names_alerts_that_there_are() -> None:
    names = {rule["alert"] for rule in alerts()}
    for rule in alertmanager({})["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _operator, wanted = MATCHER.fullmatch(matcher).groups()
            if name == "alertname":
                for each in wanted.split("|"):
                    assert any(re.fullmatch(each, known) for known in names), each


def test_a_warning_gives_way_to_the_worse_form_of_itself_only() -> None:
    severity = {rule["alert"]: rule["labels"]["severity"] for rule in alerts()}
    assert _alertmanager.WORSE
    for worse, warnings in _alertmanager.WORSE.items():
        assert severity[worse] == "critical"
        assert {severity[each] for each in warnings} == {"warning"}
        for each in warnings:
            assert inhibited(firing(each), firing(worse))
            assert not inhibited(firing(each, instance="b"), firing(worse))


@pytest.mark.parametrize(
    ("target", "source"),
    [
        (firing("VolumeSpaceWarning", volume="data"), firing("VolumeSpaceCritical", volume="data")),
        (firing("DiskWillFillIn24h", mountpoint="/"), firing("DiskSpaceCritical", mountpoint="/")),
        (firing("PostgresNotReady"), firing("PostgresDown")),
        (firing("PostgresCheckCritical", check="database"), firing("PostgresDown")),
        (firing("PoolerQueueLong"), firing("PostgresDown")),
        (firing("BackupFailed"), firing("PgkeepMaintenance")),
    ],
    ids=lambda each: each["alertname"],
)
def test_what_follows_from_another_alert_is_kept_back(target: dict[str, str], source: dict[str, str]) -> None:
    assert inhibited(target, source)


@pytest.mark.parametrize(
    ("target", "source"),
    [
        # The cause of a server that is down, or beside it.
        *(
            (firing(each), firing("PostgresDown"))
            for each in (
                "PostgresCrashLoop",
                "PostgresBackendCrashed",
                "ServerOomKilled",
                "VolumeSpaceCritical",
                "PostgresConnectionsExhausted",
                "PostgresArchiverFailing",
                "PostgresChecksumFailures",
                "PostgresXidWraparoundImminent",
                "BackupTooOld",
                "BackupMissing",
                "BackupFailed",
                "RestoreDrillFailed",
                "RepositoryBroken",
                "PoolerDown",
                "KeeperDown",
                "PostgresNoPrimary",
            )
        ),
        (firing("PostgresCheckCritical", check="backup"), firing("PostgresDown")),
        # Of something else.
        (firing("VolumeSpaceWarning", volume="data"), firing("VolumeSpaceCritical", volume="repository")),
        (firing("VolumeWillFill", volume="data"), firing("VolumeSpaceCritical", volume="repository")),
        (firing("PostgresWalDirectoryLarge"), firing("VolumeSpaceCritical", volume="repository")),
        (
            firing("PostgresReplicationSlotInactive", slot_name="b"),
            firing("PostgresReplicationSlotRetainsWal", slot_name="a"),
        ),
        (firing("RepositoryBehind", repository="3"), firing("RepositoryFarBehind", repository="2")),
        (firing("DiskSpaceWarning", mountpoint="/"), firing("DiskSpaceCritical", mountpoint="/boot")),
        (firing("HostClockNotSynced"), firing("DiskSpaceCritical", mountpoint="/boot")),
        (firing("HostOomKilled"), firing("DiskSpaceCritical", mountpoint="/boot")),
        (firing("RestoreDrillTooOld"), firing("BackupFailed")),
        (firing("PgkeepMaintenanceLong"), firing("PgkeepMaintenance")),
    ],
    ids=lambda each: each["alertname"],
)
def test_what_is_a_cause_or_about_something_else_is_told(target: dict[str, str], source: dict[str, str]) -> None:
    assert not inhibited(target, source)


def test_every_alert_has_its_heading_and_every_heading_its_alert() -> None:
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE)
    assert sorted(rule["alert"] for rule in alerts()) == sorted(headings)
    for rule in alerts():
        assert rule["annotations"]["runbook_url"].endswith("/docs/alerts.md#" + rule["alert"].lower())


def test_every_alert_says_what_why_and_what_next() -> None:
    for rule in alerts():
        assert set(rule["labels"]) == {"severity", "component"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")
        assert " Next: " in rule["annotations"]["description"]
    without = {rule["alert"] for rule in alerts() if "{{" not in rule["annotations"]["summary"]}
    assert without == {"KeeperMetricsAbsent", "Watchdog", "PrometheusBroken"}


def test_every_alert_has_a_case() -> None:
    cases = yaml.safe_load((ROOT / "tests/monitoring/cases.yml").read_text())
    assert sorted(cases) == sorted(rule["alert"] for rule in alerts())


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("roles/postgres_monitoring/files/dashboards/*.json")), ids=lambda path: path.stem
)
def test_a_dashboard_is_one_that_grafana_takes(file: Path) -> None:
    board = json.loads(file.read_text())
    assert board["uid"] == file.stem
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"] == {"type": "prometheus", "uid": "pgkeep"}
        assert panel["title"]
        assert all(target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("wait, critical", [(30, "10s"), (1, "1s")])
def test_what_is_critical_waits_no_longer_than_its_promise_allows(wait: int, critical: str) -> None:
    files = _alertmanager.alertmanager({}, "", _alertmanager.Times(wait=wait), "")
    route = yaml.safe_load(files["alertmanager.yml"])["route"]
    assert route["group_wait"] == "%ds" % wait
    assert [each["group_wait"] for each in route["routes"] if "critical" in each["matchers"][0]] == [critical]
