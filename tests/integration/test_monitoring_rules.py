# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every alert fires when it has to and not before, in the Prometheus that is deployed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.pgkeep.postgres.plugins.module_utils._board import present
from ansible_collections.pgkeep.postgres.plugins.module_utils._metrics import series

from ..conftest import ROOT

RULES = ROOT / "roles/postgres_monitoring/files/pgkeep.rules.yml"
CASES = ROOT / "tests/monitoring/cases.yml"
SNAPSHOT = json.loads((ROOT / "tests/fixtures/keeper/status.json").read_text())


def promtool(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    folder.chmod(0o755)
    image = os.environ["PGKEEP_MONITORING_IMAGE"]
    mount = "%s:/rules:ro" % folder
    argv = ["docker", "run", "--rm", "--network=none", "--volume", mount, image, "promtool", *words]
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def alerts(rules: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]


def in_words_of_promtool(alert: str, rule: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    interval = case.get("interval", "1m")
    every = case["labels"] if isinstance(case["labels"], list) else [case["labels"]]
    fires = [{"exp_labels": {**rule["labels"], **labels}} for labels in every]
    moments = [(case["fires"], fires)] + ([(case["quiet"], [])] if "quiet" in case else [])
    test = {
        "interval": interval,
        "input_series": [{"series": name, "values": values} for name, values in case["series"].items()],
        "alert_rule_test": [
            {"alertname": alert, "eval_time": moment, "exp_alerts": expected} for moment, expected in moments
        ],
    }
    return {"rule_files": [alert + ".rules.yml"], "evaluation_interval": interval, "tests": [test]}


def test_rules_are_clean(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES.read_text())
    done = promtool(tmp_path, "check", "rules", "--lint=all", "--lint-fatal", "/rules/rules.yml")
    assert done.returncode == 0, done.stdout


def test_every_alert_fires_and_is_quiet_before(tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text())
    cases = yaml.safe_load(CASES.read_text())
    recorded = [rule for group in rules["groups"] for rule in group["rules"] if "record" in rule]
    assert sorted(rule["alert"] for rule in alerts(rules)) == sorted(cases)
    for rule in alerts(rules):
        alert = rule["alert"]
        # promtool compares texts to the letter; what they say is read by people.
        del rule["annotations"]
        # Each with the recording rules alone: all rules for every case would take minutes.
        alone = {"groups": [{"name": "one", "rules": [*recorded, rule]}]}
        (tmp_path / (alert + ".rules.yml")).write_text(yaml.safe_dump(alone))
        (tmp_path / (alert + ".test.yml")).write_text(yaml.safe_dump(in_words_of_promtool(alert, rule, cases[alert])))
    done = promtool(tmp_path, "test", "rules", *("/rules/%s.test.yml" % alert for alert in cases))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "snapshot, fires",
    [
        (SNAPSHOT, {"KeeperSnapshotStale": {}, "PostgresNotReady": {}, "PostgresCheckCritical": {"check": "snapshot"}}),
        # Of a keeper that never looked there is no age.
        (None, {"PostgresNotReady": {}, "PostgresCheckCritical": {"check": "snapshot"}}),
    ],
    ids=["stale", "never looked"],
)
def test_nobody_is_told_of_an_instance_what_its_keeper_does_not_know(
    tmp_path: Path, snapshot: Any, fires: dict[str, dict[str, str]]
) -> None:
    """All rules over what the keeper really exports then: its silence is told, and nothing is made of it."""
    rules = yaml.safe_load(RULES.read_text())
    for rule in alerts(rules):
        del rule["annotations"]
    (tmp_path / "all.rules.yml").write_text(yaml.safe_dump(rules))
    place = {"cluster": "c", "instance": "a"}
    lines = {'up{cluster="c",instance="a",job="keeper"}': "1x60"}
    for name, _help, labels, values in series(present(snapshot, SNAPSHOT["taken_at"] + 600, 5.0)):
        for words, value in values:
            pairs = {**place, **dict(zip(labels, words))}
            ages = "%d%+dx60" % (value, 60 if name == "pgkeep_snapshot_age_seconds" else 0.0)
            lines["%s{%s}" % (name, ",".join('%s="%s"' % pair for pair in pairs.items()))] = ages
    expected = [
        {
            "alertname": rule["alert"],
            "eval_time": "30m",
            "exp_alerts": [{"exp_labels": {**rule["labels"], **place, **fires[rule["alert"]]}}]
            if rule["alert"] in fires
            else [],
        }
        for rule in alerts(rules)
        # These speak of what is not there at all: a second instance, the alerting itself.
        if not rule["alert"].endswith("Absent") and rule["alert"] != "Watchdog"
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in lines.items()],
        "alert_rule_test": expected,
    }
    text = yaml.safe_dump({"rule_files": ["all.rules.yml"], "evaluation_interval": "1m", "tests": [test]})
    (tmp_path / "all.test.yml").write_text(text)
    done = promtool(tmp_path, "test", "rules", "/rules/all.test.yml")
    assert done.returncode == 0, done.stdout
