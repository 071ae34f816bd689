# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts on the real engine: from a keeper on a bridge network to real receivers on the address of its gateway."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._health import judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._health_facts import collect
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

from .alert_lab import (
    ARCHIVE_CONF,
    KEEPER,
    KEEPER_JSON,
    NAME,
    Filler,
    Lab,
    deployed,
    docker,
    newest_backup,
    pgkeep,
    put,
    receiver,
    remove,
    settled,
    sql,
    told_to_keeper,
    until,
    volume,
    wal,
    worker_seconds,
)
from .alert_receivers import PASSWORD, TOKEN

# The names are the same for every checkout on this machine.
LOCK = Path("/run/pgkeep-it-alerts.lock")
# So old may a backup or a drill get where the test says so; the schedule has one a day.
ALLOWED_SECONDS = 20
KEPT = "select string_agg(word, ' ' order by word) from kept"
# Ends the first process of pgBackRest that takes a backup as a fault of its own would.
CRASH = """
until [[ -n ${found:-} ]]; do
  for folder in /proc/[0-9]*; do
    [[ $(< "$folder/comm") == pgbackrest ]] && grep -qsxz backup "$folder/cmdline" && found=${folder#/proc/}
  done 2> /dev/null
done
kill -SEGV "$found"
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove()
        try:
            yield from deployed(tmp_path_factory.mktemp("alerts"))
        finally:
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
    folder = volume("repo")
    mode = folder.stat().st_mode & 0o777
    folder.chmod(0)
    try:
        assert "may not be accessed" in pgkeep("job", "full")["error"]["why"]
        told = until(lambda: [each for each in lab.ops.received if each["action"] == "full"])[0]
        until(lambda: lab.at_mail(told["id"]))
        # Nothing can be judged any more, which is another matter than the job.
        unreadable = until(lambda: lab.of_action("repository"))[0]
    finally:
        folder.chmod(mode)
    assert unreadable["what"] == "The repository of %s cannot be used" % NAME
    assert "may not be accessed" in unreadable["why"]
    until(lambda: lab.of_action("repository", "resolved"))
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


def test_a_backup_that_crashes_is_a_failure_and_counts_for_nothing(lab: Lab) -> None:
    before = pgkeep("info")["backup_info"]["backups"]
    with subprocess.Popen(["docker", "exec", KEEPER, "timeout", "30", "bash", "-c", CRASH]) as crash:
        error = pgkeep("job", "full")["error"]
    assert crash.returncode == 0
    assert error["what"] == "The backup of %s failed" % NAME
    assert error["why"].startswith("pgBackRest crashed")
    assert "damaged pages" in error["next_step"]
    until(lambda: [each for each in lab.of_action("full") if each["what"] == error["what"]])
    assert pgkeep("info")["backup_info"]["backups"] == before


def test_pings_stop_when_a_backup_is_overdue_and_come_back_with_it(lab: Lab) -> None:
    until(lambda: time.time() - newest_backup() > ALLOWED_SECONDS + 1, ALLOWED_SECONDS + 2)
    # The repository was unreadable a moment ago.
    before = lab.deadman.pings
    until(lambda: lab.deadman.pings > before)

    def impatient(topics: dict[str, Any]) -> None:
        topics["alerts"]["thresholds"]["backup_age_factor"] = ALLOWED_SECONDS / 86400

    with told_to_keeper(impatient):
        overdue = until(lambda: lab.of_action("backup-age"))[0]
        assert "the newest one is of 20" in overdue["why"]
        assert "backup-age" in until(lambda: pgkeep("alerts")["alerts"]["deadman"]["silent"])
        # One every two seconds came before.
        before = settled(lambda: lab.deadman.pings)
        job = pgkeep("job", "full")["job"]
        assert (job["result"], job["failing_since"]) == ("ok", None)
        until(lambda: lab.of_action("full", "resolved"))
        until(lambda: lab.of_action("backup-age", "resolved"))
        until(lambda: lab.deadman.pings > before)


def test_a_server_that_is_down_is_told_without_any_job(lab: Lab) -> None:
    docker("stop", NAME)
    try:
        told = until(lambda: lab.of_action("server"))[0]
    finally:
        docker("start", NAME)
    assert told["what"] == "PostgreSQL of %s does not answer" % NAME
    until(lambda: lab.of_action("server", "resolved"), 20)


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
    with told_to_keeper(lambda topics: topics["alerts"]["email"].update(tls="tls", port=lab.smtps.port)):
        assert [pgkeep("alert-test")["alert_test"]["id"]] == [mail["X-Pgkeep-Id"] for mail in lab.smtps.received]
        lab.smtps.stop()
        lab.smtps.context = lab.stranger.context(lab.smtps.address)
        lab.smtps.start()
        assert "email: [SSL: CERTIFICATE_VERIFY_FAILED]" in pgkeep("alert-test", "--timeout", "4")["error"]["why"]
        assert len(lab.smtps.received) == 1


def test_states_that_no_job_stumbles_over_are_told_when_they_come_and_when_they_go(lab: Lab) -> None:
    def still(topics: dict[str, Any]) -> None:
        """Somebody else keeps the time and does not, and a disk is to be a third empty."""
        topics["schedule"]["runner"] = "systemd"
        topics["schedule"]["jobs"]["drill"] = "* * * * *"
        topics["drill"] = {"checks": [{"name": "kept", "database": "app", "sql": KEPT, "expect": "before full"}]}
        limits = {"disk_percent": 66, "drill_age_factor": 0.5, "overdue_seconds": ALLOWED_SECONDS}
        topics["alerts"]["thresholds"].update(limits)

    sql("create table kept as select 'before' as word")
    filler = Filler()
    try:
        with told_to_keeper(still):
            filler.leave(24 * 1024 * 1024)
            for action, what in (
                ("disk-repository", "The disk of the repository of %s fills up" % NAME),
                ("overdue-drill", "The job drill of %s is overdue" % NAME),
                ("drill-age", "The backups of %s are not proven by a drill that is young enough" % NAME),
            ):
                told = until(lambda action=action: lab.of_action(action), 70)[0]
                assert told["what"] == what
                until(lambda told=told: lab.at_mail(told["id"]))
            filler.leave(0)
            sql("insert into kept values ('full')")
            sql("select pg_switch_wal()")
            told = until(lambda: lab.of_action("archiver"))[-1]
            assert told["what"] == "WAL of %s is not archived" % NAME
            # Told before or after the archiver itself has said so.
            assert "the disk of the repository is full: " in told["why"]
            assert "No WAL is lost" in told["next_step"]
            found = until(lambda: "No space left on device" in (wal()["cause"] or "") and wal())
            assert found["cause"].startswith("the disk of the repository is full: the archiver says: ")
            assert found["ready_count"] > 0
            filler.remove()
            # As soon as the next segment is full, and a minute later at the latest, PostgreSQL tries again.
            sql("select pg_logical_emit_message(true, 'test', 'the next segment'), pg_switch_wal()")
            for action in ("archiver", "disk-repository"):
                until(lambda action=action: lab.of_action(action, "resolved"))
            found = wal()
            assert (found["ready_count"], found["missing"], found["cause"]) == (0, [], None)
            # It proves that nothing was lost, and is what the schedule waits for.
            assert pgkeep("job", "drill")["job"]["result"] == "ok"
            for action in ("overdue-drill", "drill-age"):
                until(lambda action=action: lab.of_action(action, "resolved"))
    finally:
        filler.remove()


def test_a_repository_that_is_gone_is_told_by_the_wal_that_does_not_reach_it(lab: Lab) -> None:
    told, ended = len(lab.of_action("archiver")), len(lab.of_action("archiver", "resolved"))
    aside = volume("repo") / "aside"
    aside.mkdir()
    for part in ("archive", "backup"):
        (volume("repo") / part).rename(aside / part)
    try:
        sql("insert into kept values ('lost'); select pg_switch_wal()")
        why = until(lambda: lab.of_action("archiver")[told:])[0]["why"]
        assert "the repository has no stanza of that name" in why
    finally:
        for part in ("archive", "backup"):
            shutil.rmtree(volume("repo") / part, ignore_errors=True)
            (aside / part).rename(volume("repo") / part)
        aside.rmdir()
    sql("select pg_logical_emit_message(true, 'test', 'the next segment'), pg_switch_wal()")
    until(lambda: lab.of_action("archiver", "resolved")[ended:])


def test_a_worker_that_hangs_is_told_and_one_with_stale_configuration_is_ended_by_a_deploy(lab: Lab) -> None:
    info = volume("repo") / "archive" / NAME / "archive.info"
    aside = info.with_name("aside")
    told, ended = len(lab.of_action("archiver")), len(lab.of_action("archiver", "resolved"))
    # A read that never ends, as on a network disk whose server is away.
    info.rename(aside)
    os.mkfifo(info)
    os.chown(info, 999, 999)
    try:
        sql("insert into kept values ('held'); select pg_switch_wal()")
        until(lambda: worker_seconds() > 1)
    finally:
        aside.rename(info)
    why = until(lambda: lab.of_action("archiver")[told:])[0]["why"]
    assert "the archiver's worker hangs" in why
    # Both the repository and the settings are as they should be, and it is of no use.
    os.utime(ARCHIVE_CONF)
    found = wal()
    assert found["cause"].startswith("the archiver works with stale configuration: it began at 20")
    assert "deploy.yml" in found["next_step"]
    check = next(each for each in judge(collect(run, Layout(NAME)))["checks"] if each["id"] == "archiver")
    assert "stale configuration" in check["message"]
    assert "deploy.yml" in check["hint"]
    done = lab.deploy(lab.alerts())
    assert done.returncode == 0, done.stdout
    until(lambda: lab.of_action("archiver", "resolved")[ended:])
    found = wal()
    assert (found["ready_count"], found["missing"], found["failing_since"], found["cause"]) == (0, [], None, None)
    audit = Path("/var/lib/pgkeep", NAME, "state/audit.jsonl").read_text()
    assert "end worker of the archiver: it hangs with stale configuration" in audit


def test_a_clock_that_was_set_back_is_told_and_named_where_a_backup_is_refused(lab: Lab) -> None:
    record = Path("/var/lib/pgkeep", NAME, "state/jobs/full.json")
    kept = record.read_text()
    # What a keeper leaves whose clock was ahead.
    record.write_text(json.dumps({**json.loads(kept), "started_at": "2100-01-01T00:00:00Z"}))
    try:
        why = until(lambda: lab.of_action("clock"))[0]["why"]
        assert "2100-01-01T00:00:00Z is 2" in why
    finally:
        record.write_text(kept)
    until(lambda: lab.of_action("clock", "resolved"))
    # pgBackRest names backups by the local time, so that one is of a moment ahead.
    ahead = json.loads(docker("exec", "--env", "TZ=UTC-14", KEEPER, "pgkeep", "backup", "--type", "full"))
    assert ahead["backup"]["clean"]
    error = pgkeep("backup", "--type", "full")["error"]
    assert error["what"] == "The backup of %s failed" % NAME
    assert error["why"].startswith("the clock was set back, or the timezone was changed")


def test_a_damaged_page_that_the_server_meets_makes_its_health_critical(lab: Lab) -> None:
    sql("create table damaged as select repeat('x', 100) as words from generate_series(1, 1000)")
    sql("create extension pg_buffercache")
    sql("checkpoint")
    with (volume("data") / "17/data" / sql("select pg_relation_filepath('damaged')")).open("r+b") as file:
        file.seek(12000)
        file.write(b"damaged")
    sql("select count(pg_buffercache_evict(bufferid)) from pg_buffercache")
    assert "invalid page" in docker("exec", NAME, "psql", "-XAtqc", "select count(*) from damaged", "app", check=False)
    check = next(each for each in judge(collect(run, Layout(NAME)))["checks"] if each["id"] == "checksums")
    assert (check["status"], check["value"]) == ("critical", 1)
