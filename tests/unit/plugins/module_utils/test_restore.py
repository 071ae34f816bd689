# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore undoes when a step fails. The steps themselves run on the real engine, in tests/integration."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore as restoring
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_choice as choosing
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_plan as planning
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_result as results
from ansible_collections.pgkeep.postgres.plugins.module_utils import _swap as swapping
from ansible_collections.pgkeep.postgres.plugins.module_utils._copy import CopyFacts
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._pgfiles import lsn
from ansible_collections.pgkeep.postgres.plugins.module_utils._release import in_force
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .restore_host import SYSTEM_ID, Host

FACTS = CopyFacts(str(SYSTEM_ID), 17, lsn("0/83000098"), "2026-11-21T22:54:37.694307Z", 3)
BROKEN = PgkeepError("The restore failed", "[075]: no backup set found", "choose another")


@pytest.fixture
def host(tmp_path, monkeypatch):
    """An instance whose copy comes up: what needs PostgreSQL is answered, what moves files is real."""
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: True)
    monkeypatch.setattr(choosing, "query", lambda socket_dir, statement: [("0/86000000",)])
    monkeypatch.setattr(restoring, "prepare", lambda place: None)
    monkeypatch.setattr(restoring, "wait_until_open", lambda *arguments: None)
    monkeypatch.setattr(restoring, "wait_until_serving", lambda *arguments: 0.1)
    monkeypatch.setattr(restoring, "prove", lambda socket_dir: FACTS)
    monkeypatch.setattr(restoring.history.os, "fchown", lambda *arguments: None)
    monkeypatch.setattr(swapping, "UID", os.getuid())
    monkeypatch.setattr(swapping, "GID", os.getgid())
    made = Host(tmp_path, monkeypatch)
    answer = made.__call__

    def run(argv, **more):
        name = "app-restore"
        if argv[1:3] == ["run", "--detach"] and name in argv:
            pgdata = next(word for word in argv if word.startswith("PGDATA="))
            beside = str(tmp_path / "volume") + pgdata[len("PGDATA=/var/lib/postgresql") :]
            os.mkdir(beside)
            with open(beside + "/who", "w") as handle:
                handle.write("new")
        return answer(argv, **more)

    made.run = run
    (made.data / "who").write_text("old")
    return made


def request(**more):
    values = {"name": "app", "confirm": "app", "label": None, "time": None, "keep_previous": 1, "timeout_seconds": 60}
    return planning.Request(**{**values, **more})


def restored(host, **more):
    return restoring.restore(host.run, request(**more), check_mode=False)


def names(host):
    return sorted(path.name.split("-")[0] for path in host.data.parent.iterdir())


def verbs(host):
    return [" ".join([argv[1], argv[-1]]) for argv in host.writing() if argv[1] in ("stop", "start", "rename")]


def fail(*_arguments):
    raise BROKEN


def test_the_new_data_are_in_place_and_the_old_are_kept(host):
    result = restored(host)
    assert (host.data / "who").read_text() == "new"
    assert names(host) == ["data", "data.previous"]
    assert (result["timeline_before"], result["timeline_after"], result["rescued_segments"]) == (16, 17, 0)
    assert result["reached_time"] == "2026-11-21T22:54:37.694307Z"
    assert result["previous_data"] in result["undo"]
    assert result["interruption_seconds"] is not None
    history = (host.path / "home/state/history").read_text()
    assert history.split(" ", 1)[1] == "restored system-id=%d from=16 timeline=17\n" % SYSTEM_ID


def test_for_the_newest_state_the_old_server_stops_before_the_copy_is_made(host):
    restored(host)
    started = next(number for number, argv in enumerate(host.commands) if argv[1:3] == ["run", "--detach"])
    stopped = host.commands.index(["docker", "stop", "app"])
    assert stopped < started


def test_from_another_repository_the_first_is_prepared_for_the_server(host):
    (host.path / "config_dir/pgbackrest/pgbackrest.conf").write_text("repo2-type=s3\n")
    result = restored(host, repository=2)
    assert result["repository"] == 2
    copy = next(argv for argv in host.commands if argv[1:3] == ["run", "--detach"])
    assert "PGKEEP_REPOSITORY=2" in copy
    assert "--network=pgkeep" in copy or copy[copy.index("--network") + 1] == "pgkeep"
    prepared = next(number for number, argv in enumerate(host.commands) if "stanza-create" in argv)
    assert host.commands.index(copy) < prepared
    assert {"--config=/etc/pgbackrest/archive.conf", "--no-online"} <= set(host.commands[prepared])
    assert "Prepared the first repository for the server's WAL" in result["steps"]


def test_from_the_first_repository_nothing_has_to_be_prepared(host):
    assert restored(host)["repository"] == 1
    copy = next(argv for argv in host.commands if argv[1:3] == ["run", "--detach"])
    assert "PGKEEP_REPOSITORY=1" in copy
    assert not [argv for argv in host.commands if "stanza-create" in argv]


def test_for_a_label_it_stops_after_the_copy_is_proven(host):
    restored(host, label="20261121-225358F")
    assert verbs(host)[:2] == ["stop app-restore", "stop app"]


def pooled(host):
    """What the pooler of the instance was told, in its order with the stops and starts."""
    labels = {"Labels": {"pgkeep.instance": "app"}}
    host.found["container", "app-pooler"] = {**host.found["container", "app"], "Config": labels}

    def told():
        words = [" ".join(argv[argv.index("pgkeep-pooler") :]) for argv in host.commands if "pgkeep-pooler" in argv]
        return [found.replace("pgkeep-pooler ", "") for found in words]

    return told


def test_clients_of_the_pooler_wait_for_the_exchange_and_not_for_the_copy(host):
    told = pooled(host)
    restored(host, label="20261121-225358F")
    # Whom a killed deploy left waiting, then for the exchange.
    assert told() == ["resume", "pause 10", "resume"]
    paused = next(number for number, argv in enumerate(host.commands) if "pause" in argv)
    assert host.commands.index(["docker", "rm", "--force", "app-restore"]) < paused
    assert paused < host.commands.index(["docker", "stop", "app"])


def test_they_do_not_wait_for_the_newest_state_which_takes_longer(host):
    told = pooled(host)
    restored(host)
    assert "pause 10" not in told()


def test_they_do_not_wait_any_more_when_the_old_data_are_back(host, monkeypatch):
    told = pooled(host)
    monkeypatch.setattr(restoring, "wait_until_serving", fail)
    with pytest.raises(PgkeepError):
        restored(host, label="20261121-225358F")
    assert told()[1:] == ["pause 10", "resume"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_while_a_new_major_version_has_the_data_nothing_is_restored(host, check_mode):
    record = {"before": 17, "after": 18, "way": "link", "phase": "started", "at": "", "label": "", "timeline": 1}
    (host.path / "home/upgrade.json").write_text(json.dumps({**record, "system_id": str(SYSTEM_ID)}))
    with pytest.raises(PgkeepError, match=r"upgrade of its major version is not finished.*run playbooks/upgrade.yml"):
        restoring.restore(host.run, request(), check_mode)
    assert host.writing() == []
    assert (host.data / "who").read_text() == "old"


def test_a_killed_deploy_is_taken_back_first_also_where_its_server_cannot_serve(host, monkeypatch):
    """Its containers are in the place of those that the restored data are for."""
    journal = {"base": in_force(host.layout), "served": True, "files": {}, "containers": {"app": "replace"}}
    (host.path / "home/releases/journal").write_text(json.dumps(journal))
    answer = host.run

    def run(argv, **more):
        if argv[1] == "ps":
            host.commands.append(argv)
            return Result(0, "app\napp.former\napp-keeper\n")
        return answer(argv, **more)

    host.run = run
    result = restored(host)
    assert result["steps"][0] == "Took back a deploy that was killed"
    renamed = host.commands.index(["docker", "rename", "app.former", "app"])
    assert renamed < next(number for number, argv in enumerate(host.commands) if argv[1:3] == ["run", "--detach"])
    assert (host.data / "who").read_text() == "new"
    assert not (host.path / "home/releases/journal").exists()


def test_for_a_time_a_row_is_archived_first(host):
    restored(host, time="2026-11-21T22:54:30Z")
    asked = [argv[argv.index("pgkeep") + 1] for argv in host.commands if "pgkeep" in argv]
    assert asked == ["info", "canary"]


def test_no_previous_data_are_kept_when_none_are_wanted(host):
    result = restored(host, keep_previous=0)
    assert names(host) == ["data"]
    assert (result["previous_data"], result["undo"]) == (None, None)


def test_a_copy_that_fails_leaves_the_server_running(host, monkeypatch):
    monkeypatch.setattr(restoring, "wait_until_open", fail)
    with pytest.raises(results.RestoreError) as caught:
        restored(host, label="20261121-225358F")
    assert caught.value.to_result()["rolled_back"] is True
    assert caught.value.what == "The restore of app to 20261121-225358F failed"
    assert caught.value.why.endswith("no backup set found; the server kept running on its old data")
    assert (host.data / "who").read_text() == "old"
    assert names(host) == ["data"]
    assert verbs(host) == []


def test_a_copy_that_fails_after_the_stop_starts_the_server_again(host, monkeypatch):
    monkeypatch.setattr(restoring, "prove", fail)
    with pytest.raises(results.RestoreError, match="the server was started again on its old data"):
        restored(host)
    assert verbs(host) == ["stop app", "start app"]
    assert names(host) == ["data"]


def test_a_copy_that_ends_too_early_is_not_put_in_place(host, monkeypatch):
    short = CopyFacts(str(SYSTEM_ID), 17, lsn("0/38000000"), None, 3)
    monkeypatch.setattr(restoring, "prove", lambda socket_dir: short)
    with pytest.raises(results.RestoreError, match="the old data go on to 0/83000028"):
        restored(host)
    assert (host.data / "who").read_text() == "old"


def test_a_server_that_does_not_start_gets_its_old_data_back(host, monkeypatch):
    calls = []

    def serving(run, layout, seconds):
        calls.append(seconds)
        if len(calls) == 1:
            raise PgkeepError("The server of app does not start", "FATAL: x")
        return 0.1

    monkeypatch.setattr(restoring, "wait_until_serving", serving)
    with pytest.raises(results.RestoreError, match=r"does not start: FATAL: x; the server was started again"):
        restored(host)
    assert (host.data / "who").read_text() == "old"
    assert names(host) == ["data"]
    # The archive may have the timeline already that was left again.
    history = (host.path / "home/state/history").read_text().splitlines()
    assert [line.split(" ", 3)[3] for line in history] == ["from=16 timeline=17", "from=17 timeline=16"]


def test_going_back_may_fail_too_and_says_so(host, monkeypatch):
    monkeypatch.setattr(restoring, "prove", fail)
    monkeypatch.setattr(restoring, "wait_until_serving", fail)
    with pytest.raises(results.RestoreError, match="and going back failed too") as caught:
        restored(host)
    assert caught.value.to_result()["rolled_back"] is False


def test_a_container_that_was_stopped_stays_stopped(host, monkeypatch):
    host.found["container", "app"] = {"State": {"Running": False, "Restarting": False}, "RestartCount": 0}
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: False)
    monkeypatch.setattr(restoring, "prove", fail)
    with pytest.raises(results.RestoreError, match="the old data are as they were"):
        restored(host)
    assert verbs(host) == []


@pytest.fixture
def unarchived(host):
    """A segment that waits, and an archive that takes it from the containers in takes."""
    (host.data / "pg_wal/archive_status/000000100000000000000082.done").unlink()
    takes = set()
    answer = host.run

    def run(argv, **more):
        if "archive" in argv and argv[1] not in takes:
            return Result(1, "2026-11-21 23:06:59.405 P00  ERROR: [055]: unable to open missing file\n")
        return answer(argv, **more)

    host.run = run
    return takes


def test_wal_that_only_the_old_data_have_is_archived_before_the_copy(host, unarchived):
    unarchived.add("run")
    result = restored(host)
    assert result["rescued_segments"] == 1
    assert "Archived WAL that only the old data had: 000000100000000000000082" in result["steps"]
    assert not any("archive" in argv for argv in host.commands if argv[1] == "exec")


def test_what_damaged_data_cannot_archive_the_new_server_does(host, unarchived):
    unarchived.add("exec")
    result = restored(host)
    assert "Archived WAL that only the old data had: 000000100000000000000082" in result["steps"]
    command = next(argv for argv in host.commands if argv[1] == "exec" and "archive" in argv)
    assert command[-2:] == [
        "/var/lib/postgresql/17/" + os.path.basename(result["previous_data"]) + "/pg_wal",
        "000000100000000000000082",
    ]


def test_an_archive_that_takes_nothing_does_not_stop_the_rescue(host, unarchived):
    result = restored(host)
    assert result["rescued_segments"] == 1
    words = "The archive did not take 000000100000000000000082 ([055]: unable to open missing file)"
    assert [step for step in result["steps"] if "archive" in step] == [
        words + ": backups from before lead no further than there"
    ]


def test_lost_containers_are_made_as_the_release_says(host, monkeypatch):
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: False)
    del host.found["container", "app"], host.found["container", "app-keeper"]
    result = restored(host)
    made = [argv[argv.index("--name") + 1] for argv in host.commands if argv[1] == "create"]
    assert made == ["app", "app-keeper"]
    assert ["docker", "network", "create", "--label", "pgkeep.instance=", "pgkeep"] in host.commands
    assert result["interruption_seconds"] is None


def test_what_fails_after_the_server_serves_is_told_and_not_undone(host, monkeypatch):
    monkeypatch.setattr(swapping.Directories, "prune_previous", fail)
    result = restored(host)
    assert (host.data / "who").read_text() == "new"
    assert any(step.startswith("The server serves, but afterwards: The restore failed") for step in result["steps"])


def test_a_kill_after_the_exchange_leaves_a_history_that_knows_the_new_timeline(host, monkeypatch):
    """Without it a later restore to a moment takes the wrong branch."""

    def killed(*_arguments):
        raise SystemExit

    monkeypatch.setattr(restoring, "_serve", killed)
    with pytest.raises(SystemExit):
        restored(host)
    assert (host.data / "who").read_text() == "new"
    assert (host.path / "home/state/history").read_text().endswith(" from=16 timeline=17\n")


def test_a_kill_in_the_exchange_is_mended_by_the_next_restore(host, monkeypatch):
    def killed(directories):
        os.rename(directories.data, directories.previous)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(swapping.Directories, "swap", killed)
        with pytest.raises(SystemExit):
            restored(host)
    assert "data" not in names(host)
    result = restored(host)
    assert result["steps"][0].startswith("Put %s.previous-" % host.data)
    assert os.path.exists(result["previous_data"] + "/global/pg_control")


def test_what_was_made_anew_is_told(host, monkeypatch):
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: False)
    for lost in (("container", "app"), ("container", "app-keeper"), ("volume", "app-spool")):
        del host.found[lost]
    assert planning.make_plan(host.run, request()).steps()[-2:] == [
        "Create the container app",
        "Create the container app-keeper",
    ]
    made = [step for step in restored(host)["steps"] if step.startswith("Created")]
    assert made == [
        "Created the volume app-spool, which was gone",
        "Created the container app, which was gone",
        "Created the container app-keeper, which was gone",
    ]


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_backup_that_is_known_to_be_bad_is_not_taken_silently(host, check_mode):
    host.info["backup_info"]["backups"][-1].update(clean=False, reasons=["base/1/2 has wrong page checksums"])
    label = host.info["backup_info"]["backups"][-1]["label"]
    steps = restoring.restore(host.run, request(label=label), check_mode)["steps"]
    words = "Backup %s is not clean: base/1/2 has wrong page checksums. A copy that starts may still lack data"
    assert words % label in steps
