# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fault table makes of rules, snapshots and certificates; `make bench` runs the faults themselves."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))
from tests.bench import faults, watched
from tests.bench.faults import Seen, duration, ending_soon, line
from tests.integration.alert_receivers import Authority
from tests.watch import told

EVERY = [fault for together in faults.FAULTS for fault in together]


@pytest.mark.parametrize("words, seconds", [("0s", 0), ("30s", 30), ("5m", 300), ("1h", 3600)])
def test_durations_of_rules(words: str, seconds: float) -> None:
    assert duration(words) == seconds


def test_every_fault_has_a_rule_that_a_bench_may_wait_for() -> None:
    rules = watched.rules(watched.RULES.read_text())
    waits = {fault.rule: duration(rules[fault.rule].get("for", "0s")) for fault in EVERY}
    assert max(waits.values()) <= 300
    # Two that wait for the same rule at once could not be told apart.
    for together in faults.FAULTS:
        assert len({fault.rule for fault in together}) == len(together)


def test_a_backup_is_too_old_after_seconds_by_the_rule_that_is_in_force() -> None:
    rule = watched.rules(watched.RULES.read_text())[watched.TOO_OLD]
    short = watched.rules(watched.shortened(watched.RULES.read_text()))
    assert set(short) == {watched.TOO_OLD}
    assert "26" not in short[watched.TOO_OLD]["expr"]
    assert {**short[watched.TOO_OLD], "expr": rule["expr"]} == rule


def test_a_rule_without_that_limit_is_not_taken_for_shortened() -> None:
    other = yaml.safe_dump({"groups": [{"rules": [{"alert": watched.TOO_OLD, "expr": "age > 90000"}]}]})
    with pytest.raises(AssertionError, match="does not look for"):
        watched.shortened(other)


def test_what_was_not_seen_is_a_dash() -> None:
    words = line(EVERY[0], Seen(1.23, None, 100.0), "5m").split()
    assert words[-5:] == ["1.2", "-", "100.0", EVERY[0].rule, "5m"]


@pytest.mark.parametrize(
    "rule, sign",
    [
        ("PostgresArchiverFailing", {"reasons": ["archiver: archiving worked last 2 min ago"]}),
        ("TlsCertificateExpiring", {"reasons": ["certificate: it ends in 9 days"]}),
        ("PostgresConnectionsExhausted", {"reasons": ["connections: 8 of 8"]}),
        ("RestoreDrillFailed", {"reasons": ["drill: the last drill failed"]}),
        ("BackupTooOld", {"backup": {"newest": {"age_seconds": watched.TOO_OLD_SECONDS + 1}}}),
        ("ServerOomKilled", {"memory": {"oom_kills": 1}}),
        ("PostgresDown", {"checks": [{"id": "database", "status": "critical", "value": "hung"}]}),
    ],
)
def test_a_snapshot_says_a_fault_only_when_it_does(rule: str, sign: dict[str, object]) -> None:
    quiet = {
        "reasons": ["disk_data: 75 % are used"],
        "memory": {"oom_kills": None},
        "backup": {"newest": None},
        "checks": [{"id": "database", "status": "healthy", "value": "accepting"}],
    }
    for fault in [fault for fault in EVERY if fault.rule == rule]:
        assert not fault.says(quiet, quiet)
        assert fault.says(quiet, {**quiet, **sign})


def test_the_certificate_that_ends_soon_is_for_the_same_key_and_names(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "Authority")
    authority.context("192.0.2.1")
    former = x509.load_pem_x509_certificate((tmp_path / "Authority-192.0.2.1.pem").read_bytes())
    key = authority.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = x509.load_pem_x509_certificate(
        ending_soon(former.public_bytes(serialization.Encoding.PEM), authority.pem.encode(), key)
    )
    made.verify_directly_issued_by(authority.certificate)
    assert made.public_key() == former.public_key()
    assert list(made.extensions) == list(former.extensions)
    left = made.not_valid_after_utc - datetime.now(timezone.utc)
    assert timedelta(days=9) < left < timedelta(days=11)


def test_only_alerts_of_that_name_and_status_were_told() -> None:
    def message(name: str, status: str) -> dict[str, object]:
        return {"alerts": [{"labels": {"alertname": name}, "status": status}]}

    received = [message("A", "firing"), message("B", "firing"), message("A", "resolved")]
    assert told(received, "A") == received[0]["alerts"]
    assert told(received, "A", "resolved") == received[2]["alerts"]
