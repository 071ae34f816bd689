# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts on the real engine: from a keeper on a bridge network to real receivers on the address of its gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import pytest
import yaml

from ..conftest import ROOT, environment
from .alert_receivers import PASSWORD, TOKEN, USER, Authority, Mail, Web

NAME = "pgkeep-it-alerts"
KEEPER = NAME + "-keeper"
PORT = 16590
# So old may a backup get where the test says so; the schedule has one a day.
ALLOWED_SECONDS = 20
DAY_SECONDS = 86400
KEEPER_JSON = Path("/etc/pgkeep", NAME, "keeper/keeper.json")
PLAY = """
- hosts: postgres
  gather_facts: false
  roles: [pgkeep.postgres.postgres_server, pgkeep.postgres.postgres_backup]
"""
# Puts an alert into the queue as any part of the keeper does.
PUT = """
import sys, time
from pgkeep import _alert as a
alert = a.Alert("{name}", a.CRITICAL, "it", sys.argv[1], sys.argv[2], "nothing", "2026-01-01T00:00:00Z")
a.put("/var/lib/pgkeep", alert, time.time())
print(alert.id)
"""


def docker(*argv: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0 or not check, done.stdout
    return done.stdout.strip()


def until(predicate: Callable[[], Any], seconds: float = 40) -> Any:
    """What predicate gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := predicate()):
        assert time.monotonic() < end, "it did not happen within %d s; %s" % (seconds, docker("logs", KEEPER))
        time.sleep(0.1)
    return found


def settled(number: Callable[[], int], seconds: float = 3) -> int:
    """The number, once it has not changed for so long."""
    last, since, end = number(), time.monotonic(), time.monotonic() + 30
    while time.monotonic() - since < seconds:
        assert time.monotonic() < end, "it goes on changing"
        if number() != last:
            last, since = number(), time.monotonic()
        time.sleep(0.1)
    return last


def pgkeep(*words: str) -> dict[str, Any]:
    return dict(json.loads(docker("exec", KEEPER, "pgkeep", *words, check=False)))


def put(what: str, why: str = "the test wants it") -> str:
    # The library of the keeper is called pgkeep there.
    return docker(
        "exec", "--env=PYTHONPATH=/usr/local/lib/pgkeep", KEEPER, "python3", "-c", PUT.format(name=NAME), what, why
    )


def receiver(name: str) -> dict[str, Any]:
    return next(each for each in pgkeep("alerts")["alerts"]["receivers"] if each["name"] == name)


def newest_backup() -> float:
    """When it ended, in seconds since the epoch."""
    stopped_at = pgkeep("info")["backup_info"]["backups"][-1]["stopped_at"]
    return datetime.fromisoformat(stopped_at.replace("Z", "+00:00")).timestamp()


@dataclass
class Lab:
    """The deployed instance and whom it tells."""

    folder: Path
    authority: Authority
    stranger: Authority
    ops: Web
    chat: Web
    mail: Mail
    smtps: Mail
    deadman: Web

    def deploy(self, alerts: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "postgres_image_server": "{{ lookup('env', 'PGKEEP_SERVER_IMAGE') }}",
            "postgres_image_keeper": "{{ lookup('env', 'PGKEEP_KEEPER_IMAGE') }}",
            "postgres_server_memory": "512MB",
            "postgres_server_port": PORT,
            "postgres_server_network": NAME,
            "postgres_server_secrets_dir": str(self.folder / "secrets"),
            "postgres_server_users": [{"name": "app"}],
            "postgres_server_databases": [{"name": "app", "owner": "app"}],
            "postgres_backup_drill": False,
            # Far from now, so that no job disturbs: the test runs them itself.
            "postgres_backup_schedule": {"full": "0 %d * * *" % ((time.gmtime().tm_hour + 12) % 24)},
            "postgres_backup_alerts": alerts,
        }
        (self.folder / "hosts.yml").write_text(yaml.safe_dump({"postgres": {"hosts": {NAME: host}}}))
        (self.folder / "play.yml").write_text(PLAY)
        return self.play(str(self.folder / "play.yml"), "--diff")

    def play(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = ["ansible-playbook", "-i", str(self.folder / "hosts.yml"), *words]
        return subprocess.run(
            argv, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )

    def alerts(self) -> dict[str, Any]:
        return {
            "webhooks": [
                {"name": "ops", "url": self.ops.url("/hook/ops-url-key"), "token": TOKEN, "ca": self.authority.pem},
                {"name": "chat", "url": self.chat.url("/chat"), "format": "slack"},
            ],
            "email": {
                "host": self.mail.address,
                "port": self.mail.port,
                "username": USER,
                "password": PASSWORD,
                "from": "pgkeep@example.org",
                "to": ["oncall@example.org"],
                "ca": self.authority.pem,
            },
            "deadman_url": self.deadman.url("/ping/deadman-url-key"),
            "deadman_interval_seconds": 1,
            "thresholds": {
                "disk_percent": 100,
                "clear_seconds": 0,
                "watch_seconds": 1,
                "server_down_seconds": 1,
            },
        }

    def at_ops(self, identity: str) -> list[dict[str, Any]]:
        return [each for each in self.ops.received if each["id"] == identity]

    def at_mail(self, identity: str) -> list[Any]:
        return [each for each in self.mail.received if each["X-Pgkeep-Id"] == identity]

    def all_words(self) -> str:
        mails = [message.as_string() + str(message.get_content()) for message in self.mail.received]
        return json.dumps([self.ops.received, self.chat.received, mails], ensure_ascii=False)


def remove() -> None:
    for container in docker("ps", "--all", "--quiet", "--filter", "label=pgkeep.instance=" + NAME).split():
        docker("rm", "--force", container)
    for volume in docker("volume", "ls", "--quiet", "--filter", "label=pgkeep.instance=" + NAME).split():
        docker("volume", "rm", volume)
    for network in docker("network", "ls", "--quiet", "--filter", "name=^%s$" % NAME).split():
        docker("network", "rm", network)
    for folder in ("/etc/pgkeep", "/var/lib/pgkeep"):
        shutil.rmtree(Path(folder, NAME), ignore_errors=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    remove()
    folder = tmp_path_factory.mktemp("alerts")
    # Before the collection does, for its address has to be known.
    docker("network", "create", "--label", "pgkeep.instance=", NAME)
    address = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", NAME)
    authority, stranger = Authority(folder, "Authority"), Authority(folder, "Stranger")
    made = Lab(
        folder,
        authority,
        stranger,
        ops=Web(address, authority.context(address), TOKEN),
        chat=Web(address),
        mail=Mail(address, authority.context(address)),
        smtps=Mail(address, authority.context(address), implicit=True),
        deadman=Web(address),
    )
    receivers = (made.ops, made.chat, made.mail, made.smtps, made.deadman)
    try:
        for each in receivers:
            each.start()
        done = made.deploy(made.alerts())
        assert done.returncode == 0, done.stdout
        for hidden in (TOKEN, PASSWORD, "ops-url-key", "deadman-url-key"):
            assert hidden not in done.stdout
        yield made
    finally:
        for each in receivers:
            each.stop()
        remove()


def test_the_keeper_is_on_the_network_and_its_secrets_in_files_of_its_own(lab: Lab) -> None:
    assert docker("inspect", "--format", "{{.HostConfig.NetworkMode}}", KEEPER) == NAME
    folder = Path("/etc/pgkeep", NAME, "keeper")
    topic = (folder / "keeper.json").read_text()
    for hidden, file in (
        (TOKEN, "alerts-webhook-1.token"),
        ("ops-url-key", "alerts-webhook-1.url"),
        (PASSWORD, "alerts-email.password"),
        ("deadman-url-key", "alerts.deadman_url"),
    ):
        assert hidden not in topic
        assert hidden in (folder / file).read_text()
        assert (folder / file).stat().st_mode & 0o777 == 0o400
        assert hidden not in docker("inspect", KEEPER)


def test_a_test_alert_is_proven_to_arrive(lab: Lab) -> None:
    done = lab.play("playbooks/test_alerts.yml", "--check")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("delivered: false") == 3
    assert not any("TEST" in each["text"] for each in lab.chat.received)
    done = lab.play("playbooks/test_alerts.yml", "-e", "receiver_check=" + lab.chat.url("/seen?id={id}"))
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("answer: HTTP 200") == 2
    assert done.stdout.count("answer: 250 accepted") == 1
    identity = lab.ops.received[-1]["id"]
    assert identity in done.stdout
    assert lab.ops.received[-1]["status"] == "test"
    assert len(lab.at_mail(identity)) == 1
    assert lab.at_mail(identity)[0]["Subject"] == "[pgkeep] TEST %s: This is a test of the alerts of %s" % (NAME, NAME)
    assert identity in lab.chat.received[-1]["text"]


def test_a_job_that_really_fails_is_told_to_everybody_and_so_is_its_end(lab: Lab) -> None:
    repository = Path(docker("volume", "inspect", "--format", "{{.Mountpoint}}", NAME + "-repo"))
    mode = repository.stat().st_mode & 0o777
    repository.chmod(0)
    try:
        assert "may not be accessed" in pgkeep("job", "full")["error"]["why"]
        told = until(lambda: [each for each in lab.ops.received if each["action"] == "full"])[0]
        until(lambda: lab.at_mail(told["id"]))
    finally:
        repository.chmod(mode)
    assert told["instance"] == told["host"] == NAME
    assert (told["severity"], told["status"], told["repeated"]) == ("critical", "firing", 0)
    assert told["what"].startswith("The ")
    assert "may not be accessed" in told["why"]
    assert "uid 999" in told["next_step"]
    assert told["runbook"] == "/etc/pgkeep/%s/RUNBOOK.md" % NAME
    mail = lab.at_mail(told["id"])[0]
    assert mail["Subject"].startswith("[pgkeep] CRITICAL %s: The " % NAME)
    assert (mail["From"], mail["To"]) == ("pgkeep@example.org", "oncall@example.org")
    assert told["next_step"] in " ".join(mail.get_content().split())
    assert any("CRITICAL" in each["text"] and told["what"] in each["text"] for each in lab.chat.received)


def test_pings_stop_when_a_backup_is_overdue_and_come_back_with_it(lab: Lab) -> None:
    def of_action(action: str, status: str) -> list[dict[str, Any]]:
        return [each for each in lab.ops.received if (each["action"], each["status"]) == (action, status)]

    until(lambda: time.time() - newest_backup() > ALLOWED_SECONDS + 1, ALLOWED_SECONDS + 2)
    # The repository was unreadable a moment ago.
    before = lab.deadman.pings
    until(lambda: lab.deadman.pings > before)
    declared = KEEPER_JSON.read_text()
    topics = json.loads(declared)
    topics["alerts"]["thresholds"]["backup_age_factor"] = ALLOWED_SECONDS / DAY_SECONDS
    KEEPER_JSON.write_text(json.dumps(topics))
    try:
        overdue = until(lambda: of_action("backup-age", "firing"))[0]
        assert "the newest one is of 20" in overdue["why"]
        assert "backup-age" in until(lambda: pgkeep("alerts")["alerts"]["deadman"]["silent"])
        # One every two seconds came before.
        before = settled(lambda: lab.deadman.pings)
        job = pgkeep("job", "full")["job"]
        assert (job["result"], job["failing_since"]) == ("ok", None)
        until(lambda: of_action("full", "resolved"))
        until(lambda: of_action("backup-age", "resolved"))
        until(lambda: lab.deadman.pings > before)
    finally:
        KEEPER_JSON.write_text(declared)


def test_a_server_that_is_down_is_told_without_any_job(lab: Lab) -> None:
    docker("stop", NAME)
    try:
        told = until(lambda: [each for each in lab.ops.received if each["action"] == "server"])[0]
    finally:
        docker("start", NAME)
    assert told["what"] == "PostgreSQL of %s does not answer" % NAME
    until(
        lambda: [each for each in lab.ops.received if each["action"] == "server" and each["status"] == "resolved"], 20
    )


def test_no_secret_leaves_even_where_a_tool_says_it(lab: Lab) -> None:
    conf = Path("/etc/pgkeep", NAME, "pgbackrest/pgbackrest.conf").read_text()
    passphrase = next(line.partition("=")[2] for line in conf.splitlines() if line.startswith("repo1-cipher-pass="))
    said = "%s and %s and %s at postgresql://app:unknown-secret@db/app" % (passphrase, TOKEN, PASSWORD)
    identity = put("A tool said too much", said)
    told = until(lambda: lab.at_ops(identity))[0]
    until(lambda: lab.at_mail(identity))
    assert told["why"] == "(hidden) and (hidden) and (hidden) at postgresql://app:(hidden)@db/app"
    words = lab.all_words()
    for hidden in (passphrase, TOKEN, PASSWORD, "unknown-secret", "ops-url-key", "deadman-url-key"):
        assert hidden not in words


def test_a_receiver_that_is_away_gets_it_later_and_the_others_once(lab: Lab) -> None:
    lab.ops.stop()
    identity = put("Something while the webhook is away")
    until(lambda: lab.at_mail(identity))
    failing = until(lambda: (each := receiver("ops"))["failing_since"] and each)
    assert "Connection refused" in failing["error"]
    assert failing["waiting"] == 1
    assert receiver("email")["failing_since"] is None
    docker("restart", "--time", "5", KEEPER)
    # A repeat of it is counted, not told.
    put("Something while the webhook is away")
    until(lambda: pgkeep("alerts")["alerts"]["collapsed"] >= 1)
    lab.ops.start()
    until(lambda: lab.at_ops(identity))
    assert lab.at_ops(identity)[0]["repeated"] == 1
    until(lambda: pgkeep("alerts")["alerts"]["queued"] == 0)
    assert len(lab.at_ops(identity)) == len(lab.at_mail(identity)) == 1
    assert receiver("ops")["failing_since"] is None


def test_a_wrong_token_is_said_and_disturbs_nobody_else(lab: Lab) -> None:
    lab.ops.token = "another"
    try:
        done = lab.play("playbooks/test_alerts.yml", "-e", "timeout=8")
        assert done.returncode == 2
        words = " ".join(done.stdout.split())
        assert "The test alert of %s did not arrive everywhere. Why: ops: HTTP 401 Unauthorized; " % NAME in words
        assert "chat took it (HTTP 200); email took it (250 accepted). Next: correct" in words
        assert receiver("ops")["error"].startswith("HTTP 401")
    finally:
        lab.ops.token = TOKEN
    # What did not arrive is taken back.
    waiting = [path.read_text() for path in Path("/var/lib/pgkeep", NAME, "state/alerts/queue").glob("*.json")]
    assert not any('"test"' in alert for alert in waiting)


def test_certificates_of_a_stranger_are_refused(lab: Lab) -> None:
    kept = lab.ops.context, lab.mail.context
    before = len(lab.ops.received), len(lab.mail.received)
    for each in (lab.ops, lab.mail):
        each.stop()
        each.context = lab.stranger.context(each.address)
        each.start()
    try:
        why = pgkeep("alert-test", "--timeout", "8")["error"]["why"]
        ops, chat, mail = why.split("; ")
        for said in (ops, mail):
            assert "certificate verify failed" in said
        assert chat == "chat took it (HTTP 200)"
        assert before == (len(lab.ops.received), len(lab.mail.received))
    finally:
        for each, context in zip((lab.ops, lab.mail), kept):
            each.stop()
            each.context = context
            each.start()
    assert all(each["delivered"] for each in pgkeep("alert-test", "--timeout", "30")["alert_test"]["receivers"])


def test_what_cannot_be_meant_is_refused_before_it_is_in_force(lab: Lab) -> None:
    before = KEEPER_JSON.read_text()
    wrong = {**lab.alerts(), "deadman_urll": "https://example.org/misspelled-secret"}
    done = lab.deploy(wrong)
    assert done.returncode == 2
    words = " ".join(done.stdout.split())
    assert "The alerts of %s cannot be set up. Why: there is no deadman_urll; known are" % NAME in words
    assert "correct postgres_backup_alerts" in words
    assert "misspelled-secret" not in done.stdout
    assert KEEPER_JSON.read_text() == before


def test_mail_that_is_encrypted_from_the_first_byte(lab: Lab) -> None:
    topics = json.loads(KEEPER_JSON.read_text())
    topics["alerts"]["email"].update(tls="tls", port=lab.smtps.port)
    KEEPER_JSON.write_text(json.dumps(topics))
    assert [pgkeep("alert-test")["alert_test"]["id"]] == [mail["X-Pgkeep-Id"] for mail in lab.smtps.received]
    lab.smtps.stop()
    lab.smtps.context = lab.stranger.context(lab.smtps.address)
    lab.smtps.start()
    assert "email: [SSL: CERTIFICATE_VERIFY_FAILED]" in pgkeep("alert-test", "--timeout", "4")["error"]["why"]
    assert len(lab.smtps.received) == 1
