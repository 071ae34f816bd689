# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup a drill takes and what it leaves. The proofs run on the real engine, in tests/integration."""

from __future__ import annotations

import contextlib
import json
import os

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill as drilling
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_record as records
from ansible_collections.pgkeep.postgres.plugins.module_utils import _heartbeat as heartbeat
from ansible_collections.pgkeep.postgres.plugins.module_utils import _sandbox_host as sandbox_host
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .recorded import changed
from .restore_host import Host

LABEL = "20261121-225358F"


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "UID", os.getuid())
    monkeypatch.setattr(records, "GID", os.getgid())
    monkeypatch.setattr(sandbox_host, "prepare", lambda place: os.makedirs(place.home))
    monkeypatch.setattr(sandbox_host, "write_access", lambda *arguments: None)
    monkeypatch.setattr(heartbeat, "beginning", lambda socket_dir: None)
    monkeypatch.setattr(drilling, "production_timeline", lambda socket_dir: 16)
    return Host(tmp_path, monkeypatch)


def drill(run, check_mode, memory=None, cpus=None, **request):
    sandbox = sandbox_host.on_host(run, "app", memory, cpus)
    return drilling.drill(sandbox, drilling.Request(**{"timeout_seconds": 60, **request}), check_mode)


def records_of(host):
    folder = host.path / "home/state/drills"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_check_mode_tells_the_backup_and_only_reads(host):
    result = drill(host, check_mode=True)
    assert result["changed"] is True
    assert (result["drill"]["label"], result["drill"]["passed"]) == (LABEL, None)
    assert host.writing() == []
    assert not (host.path / "home/lock").exists()


def test_a_young_proof_is_returned_as_it_was_recorded(host):
    host.info = changed(host.info, "backup_info.backups.12.proven_at", "2026-11-21T22:55:00Z")
    proof = records.Drill("app", LABEL, passed=True, started_at=records.now(), rows=5)
    records.save(host.layout.state_dir, proof)
    for check_mode in (True, False):
        result = drill(host, check_mode, max_age_seconds=3600)
        assert result == {"changed": False, "drill": proof.to_result()}
    assert host.writing() == []


@pytest.mark.parametrize(
    "started_at,age",
    [("2026-11-21T22:55:00Z", 60), (None, 0), (None, None)],
    ids=["too old", "no age allowed", "no age given"],
)
def test_a_proof_that_does_not_count(host, started_at, age):
    host.info = changed(host.info, "backup_info.backups.12.proven_at", "2026-11-21T22:55:00Z")
    records.save(
        host.layout.state_dir, records.Drill("app", LABEL, passed=True, started_at=started_at or records.now())
    )
    assert drill(host, check_mode=True, max_age_seconds=age)["changed"] is True


def test_a_record_whose_backup_does_not_say_proven_does_not_count(host):
    # The annotation is gone with the repository it was in.
    records.save(host.layout.state_dir, records.Drill("app", LABEL, passed=True, started_at=records.now()))
    assert drill(host, check_mode=True, max_age_seconds=3600)["changed"] is True


def test_a_label_that_is_not_there(host):
    with pytest.raises(PgkeepError) as caught:
        drill(host, check_mode=True, label="20200101-000000F")
    assert "there is none with label 20200101-000000F; the repository has " in caught.value.why
    assert LABEL in caught.value.why


def test_no_clean_backup(host):
    host.info = changed(host.info, "backup_info.newest_clean", None)
    with pytest.raises(PgkeepError, match="no backup is clean"):
        drill(host, check_mode=True)


def failing_canary(host):
    def run(argv, **more):
        if "canary" in argv:
            host.commands.append(argv)
            error = PgkeepError("The canary did not reach the repository", "disk full", "free space")
            return Result(1, '{"error": %s}' % json.dumps(error.to_result()))
        return host(argv, **more)

    return run


def test_what_is_not_archived_fails_before_anything_is_restored(host):
    with pytest.raises(records.DrillError) as caught:
        drill(failing_canary(host), check_mode=False)
    found = caught.value.drill.to_result()
    assert [(check["id"], check["passed"]) for check in found["checks"]] == [("archive", False)]
    assert found["error"]["next_step"] == "free space"
    assert not any(argv[1] == "run" for argv in host.commands)
    assert not any("annotate" in argv for argv in host.commands)
    assert len(records_of(host)) == 1


@pytest.mark.parametrize("keep", [False, True])
def test_a_copy_that_fails_is_removed_unless_it_shall_stay(host, monkeypatch, keep):
    def broken(*_arguments):
        raise PgkeepError("The restore failed", "[075]: no backup set found")

    monkeypatch.setattr(sandbox_host, "wait_until_open", broken)
    host.found["container", "app-drill"] = {}
    canary = '{"canary": {"id": 1, "written_at": "2026-11-21T22:55:00Z", "archived_seconds": 0.3}}'

    def run(argv, **more):
        if "canary" in argv:
            return Result(0, canary)
        answer = host(argv, **more)
        started = any(before[1] == "run" for before in host.commands)
        return (
            Result(0, "drill app-drill\n") if argv[1] in ("ps", "volume") and "--filter" in argv and started else answer
        )

    with pytest.raises(records.DrillError) as caught:
        drill(run, check_mode=False, keep_on_failure=keep)
    removed = [" ".join(argv[1:]) for argv in host.commands if argv[1] == "rm" or argv[1:3] == ["volume", "rm"]]
    assert removed == ([] if keep else ["rm --force app-drill", "volume rm app-drill"])
    assert (host.path / "home/drill").exists() is keep
    assert ("the copy was kept: docker logs app-drill" in caught.value.next_step) is keep
    assert caught.value.drill.archive_seconds == 0.3
    assert caught.value.drill.rto_seconds is None


def test_the_copy_archives_nothing_and_follows_production(host, monkeypatch):
    started = []
    monkeypatch.setattr(sandbox_host, "start", lambda run, spec: started.append(spec))
    monkeypatch.setattr(sandbox_host, "wait_until_open", lambda *arguments: None)
    monkeypatch.setattr(drilling, "find_canary", lambda *arguments: (True, "there"))
    monkeypatch.setattr(drilling, "_amcheck", lambda *arguments: (True, "clean"))
    monkeypatch.setattr(drilling, "_compare_rows", lambda *arguments: (True, "equal"))
    monkeypatch.setattr(drilling, "checksum_failures", lambda *arguments: (True, "0"))

    def run(argv, **more):
        answer = '{"canary": {"id": 1, "written_at": "2026-11-21T22:55:00Z", "archived_seconds": 0.3}}'
        return Result(0, answer) if "canary" in argv else host(argv, **more)

    result = drill(run, check_mode=False, memory=300 << 20, cpus=0.5)
    assert result["drill"]["passed"] is True
    details = {check["id"]: check["detail"] for check in result["drill"]["checks"]}
    assert details["dumps"] == "skipped: there is no dump from before the drill"
    spec = started[0]
    assert spec.environment["PGKEEP_RESTORE_ARGS"] == ("--set=%s --target-timeline=16 --archive-mode=off" % LABEL)
    assert "archive_mode=off" in spec.command
    assert (spec.memory_bytes, spec.cpus, spec.network) == (300 << 20, 0.5, "none")
    annotated = [argv[-1] for argv in host.commands if "annotate" in argv]
    assert annotated == ["pgkeep-drill=passed@%s" % result["drill"]["started_at"]]
    assert len(records_of(host)) == 1


def test_everything_is_asked_of_one_repository(host, monkeypatch):
    started = []
    server = json.loads(next((host.path / "home/releases").glob("*.json")).read_text())["server"]
    monkeypatch.setattr(sandbox_host, "require_release", lambda layout: {"server": {**server, "network": "backend"}})
    monkeypatch.setattr(sandbox_host, "start", lambda run, spec: started.append(spec))

    def broken(*_arguments):
        raise PgkeepError("The restore failed", "[026]: checksum of bundle/1")

    monkeypatch.setattr(sandbox_host, "wait_until_open", broken)

    def run(argv, **more):
        host.commands.append(argv)
        if "canary" in argv:
            answer = '{"canary": {"id": 1, "written_at": "2026-11-21T22:55:00Z", "archived_seconds": 0.3}}'
            return Result(0, answer)
        if "verify" in argv:
            return Result(0, "P01   INFO: invalid checksum '%s/bundle/1'" % LABEL)
        host.commands.pop()
        return host(argv, **more)

    with pytest.raises(records.DrillError, match="of repository 2 failed") as caught:
        drill(run, check_mode=False, repository=2)
    assert caught.value.drill.repository == 2
    asked = [argv[argv.index("pgkeep") + 3 :] for argv in host.commands if "pgkeep" in argv]
    stamp = caught.value.drill.started_at
    assert asked == [
        ["info", "--repo", "2"],
        ["canary", "--repo", "2", "--timeout", "60"],
        ["annotate", "--repo", "2", "--set", LABEL, "pgkeep-drill=failed@%s" % stamp],
    ]
    assert ["--repo=2" in argv for argv in host.commands if "verify" in argv] == [True]
    spec = started[0]
    assert (spec.environment["PGKEEP_REPOSITORY"], spec.network, spec.ports) == ("2", "backend", ())
    assert {"max_worker_processes=0", "max_logical_replication_workers=0", "listen_addresses="} <= set(spec.command)


def test_a_passed_drill_waits_for_the_backup_that_holds_the_repository(host, monkeypatch):
    slept = []
    monkeypatch.setattr(drilling, "_prove", lambda *arguments: None)
    real = drilling.retry
    monkeypatch.setattr(drilling, "retry", lambda *given, **more: real(*given, **more, sleep=slept.append))
    busy = PgkeepError("The annotation was not written", "another operation holds it", "repeat", busy=True)
    answers = [Result(75, json.dumps({"error": busy.to_result()}))] * 2 + [Result(0, "{}")]

    def run(argv, **more):
        return answers.pop(0) if "annotate" in argv else host(argv, **more)

    assert drill(run, check_mode=False)["drill"]["passed"] is True
    assert slept == [1.0, 2.0]


@pytest.mark.parametrize("passes", [True, False])
def test_the_instance_is_free_while_the_verdict_waits(host, monkeypatch, passes):
    def prove(_sandbox, _choice, _request, _wanted, _deadline, done):
        done.check("rows", lambda: (passes, "42 rows"))

    held = []

    def run(argv, **more):
        if "annotate" in argv:
            for path in (host.layout.lock_file, host.layout.drill_lock_file):
                try:
                    with drilling.hold(path, "deploy"):
                        held.append(False)
                except PgkeepError as error:
                    held.append(error.busy)
        return Result(0, "{}") if "annotate" in argv else host(argv, **more)

    monkeypatch.setattr(drilling, "_prove", prove)
    with contextlib.nullcontext() if passes else pytest.raises(records.DrillError):
        drill(run, check_mode=False)
    assert held == [False, True]


def test_a_passed_drill_that_cannot_be_marked_says_both(host, monkeypatch):
    monkeypatch.setattr(drilling, "_prove", lambda *arguments: None)
    error = PgkeepError("The annotation was not written", "disk full", "free space")

    def run(argv, **more):
        return Result(1, json.dumps({"error": error.to_result()})) if "annotate" in argv else host(argv, **more)

    with pytest.raises(PgkeepError, match=r"passed, but the backup could not be marked.*disk full.*free space"):
        drill(run, check_mode=False)
    assert len(records_of(host)) == 1
