# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_choice as choosing
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_plan as planning
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._restore import restore
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._target import moment_of

from .recorded import changed
from .restore_host import SYSTEM_ID, Host

NOW = moment_of("2026-11-21T22:54:40Z")


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: True)
    monkeypatch.setattr(choosing, "query", lambda socket_dir, statement: [("0/86000000",)])
    return Host(tmp_path, monkeypatch)


def request(**more):
    values = {"name": "app", "confirm": "app", "label": None, "time": None, "keep_previous": 1, "timeout_seconds": 60}
    return planning.Request(**{**values, **more})


def plan(host, **more):
    return planning.make_plan(host, request(**more), NOW)


def test_the_newest_state_stops_the_server_first(host):
    made = plan(host)
    assert (made.stop_first, made.rescue, made.serving, made.running) == (True, True, True, True)
    assert (made.choice.label, made.timeline_before) == ("20261121-225358F", 16)
    assert made.steps()[0] == "Stop the server, so that its last WAL is archived"


def test_for_a_time_the_server_runs_until_the_copy_is_proven(host):
    made = plan(host, time="2026-11-21T22:54:30Z")
    assert (made.stop_first, made.rescue) == (False, False)
    assert made.steps()[-2:] == [
        "Stop the server",
        "Exchange the data directories and start the server; the old data are kept",
    ]


def test_check_mode_returns_the_plan_and_only_reads(host):
    host.history("2026-11-21T22:18:44Z initialised system-id=%d\n" % SYSTEM_ID)
    before = sorted(path for path in host.path.rglob("*"))
    result = restore(host, request(label="20261121-225358F"), check_mode=True)
    assert result["label"] == "20261121-225358F"
    assert result["steps"][1:] == plan(host, label="20261121-225358F").steps()
    assert result["steps"][0].startswith("What was committed between 2026-11-21T22:53:59Z and ")
    assert result["rto_seconds"] is None
    assert host.writing() == []
    assert sorted(path for path in host.path.rglob("*")) == before


@pytest.mark.parametrize("confirm,words", [(None, "confirm is not given"), ("apps", "confirm is 'apps'")])
def test_without_the_name_nothing_is_even_looked_at(host, confirm, words):
    with pytest.raises(PgkeepError) as caught:
        restore(host, request(confirm=confirm), check_mode=False)
    assert caught.value.why == words
    assert "confirm=app" in caught.value.next_step
    assert host.commands == []


def test_an_instance_that_was_never_deployed(host):
    (host.path / "home/releases/current").unlink()
    with pytest.raises(PgkeepError, match=r"not known on this host.*deploy\.yml"):
        restore(host, request(), check_mode=False)
    assert host.commands == []


@pytest.mark.parametrize(
    "kind,name,words",
    [
        ("volume", "app-repo", "its repository, the volume app-repo, is gone"),
        ("image", "sha256:server", "its image sha256:server is not on this host"),
    ],
)
def test_what_a_restore_cannot_do_without(host, kind, name, words):
    del host.found[kind, name]
    with pytest.raises(PgkeepError, match=words):
        plan(host)
    assert host.writing() == []


OTHERS = "[global]\nrepo1-path=/x\nrepo2-type=s3\nrepo3-type=sftp\n"


def with_repositories(host, answers):
    """A run before which the repositories answer so: number -> backup_info, or the words of an error."""
    (host.path / "config_dir/pgbackrest/pgbackrest.conf").write_text(OTHERS)
    answer = host.__call__

    def run(argv, **more):
        if "--repo" not in argv:
            return answer(argv, **more)
        said = answers[int(argv[argv.index("--repo") + 1])]
        if isinstance(said, str):
            return Result(1, json.dumps({"error": {"what": said, "why": "w", "next_step": "n", "busy": False}}))
        return Result(0, json.dumps({"backup_info": said}))

    return run


def test_the_first_repository_is_asked_alone_while_it_has_a_backup(host):
    run = with_repositories(host, {1: host.info["backup_info"]})
    assert planning.make_plan(run, request(), NOW).repository == 1


def test_without_its_volume_the_next_one_that_answers_serves(host):
    for lost in (("container", "app"), ("container", "app-keeper"), ("volume", "app-data"), ("volume", "app-repo")):
        del host.found[lost]
    run = with_repositories(host, {2: "Repository 2 is away", 3: host.info["backup_info"]})
    made = planning.make_plan(run, request(label=host.info["backup_info"]["backups"][0]["label"]), NOW)
    assert made.repository == 3
    assert made.missing_volumes["app-repo"] == "repo"
    assert "from repository 3" in " ".join(made.steps())


def test_an_empty_first_repository_is_passed_over_but_not_one_that_cannot_be_read(host):
    empty = {**host.info["backup_info"], "backups": []}
    run = with_repositories(host, {1: empty, 2: host.info["backup_info"]})
    assert planning.make_plan(run, request(), NOW).repository == 2
    run = with_repositories(host, {1: "Repository 1 cannot be decrypted", 2: host.info["backup_info"]})
    with pytest.raises(PgkeepError, match="cannot be decrypted"):
        planning.make_plan(run, request(), NOW)


def test_the_repository_may_be_named(host):
    run = with_repositories(host, {3: host.info["backup_info"]})
    assert planning.make_plan(run, request(repository=3), NOW).repository == 3
    with pytest.raises(PgkeepError, match="its repositories are 1, 2, 3"):
        planning.make_plan(run, request(repository=4), NOW)


def test_when_none_serves_the_first_reason_is_told(host):
    del host.found["volume", "app-repo"]
    run = with_repositories(host, {2: "Repository 2 is away", 3: "Repository 3 is away"})
    with pytest.raises(PgkeepError, match="Repository 2 is away"):
        planning.make_plan(run, request(), NOW)


def test_settings_that_are_gone(host):
    (host.path / "config_dir/pgbackrest/pgbackrest.conf").unlink()
    with pytest.raises(PgkeepError, match=r"pgbackrest\.conf is missing"):
        plan(host)


def test_lost_containers_and_data_are_made_again(host):
    for lost in (("container", "app"), ("container", "app-keeper"), ("volume", "app-data"), ("volume", "app-spool")):
        del host.found[lost]
    for lost in ("app-scratch", "app-dumps"):
        del host.found["volume", lost]
    host.info = changed(host.info, "backup_info.wal.max", "000000100000000000000086")
    history = Result(0, (host.data / "pg_wal/00000010.history").read_text())
    answer = host.__call__

    def run(argv, **more):
        # The keeper is gone, so the archive is asked through a container made for it.
        if "repo-ls" in argv:
            return Result(0, "17-1\n")
        if "repo-get" in argv:
            assert argv[-1] == "archive/app/17-1/00000010.history"
            return history
        return answer(argv, **more)

    made = planning.make_plan(run, request(), NOW)
    assert dict(made.missing_volumes) == {
        "app-data": "data",
        "app-spool": "spool",
        "app-scratch": "scratch",
        "app-dumps": "dumps",
    }
    assert (made.directories, made.control, made.rescue, made.running) == (None, None, False, False)
    assert made.steps()[:2] == ["Create the volume app-data", "Create the volume app-spool"]


def test_the_timeline_of_lost_data_is_told_by_the_history(host):
    del host.found["volume", "app-data"]
    host.history("2026-11-21T22:40:00Z restored system-id=%d from=17 timeline=16\n" % SYSTEM_ID)
    host.info = changed(host.info, "backup_info.wal.max", "000000110000000000000086")
    assert choosing.current_timeline(host.layout, host.info["backup_info"], None) == 16


def test_data_of_another_database_give_neither_timeline_nor_wal(host):
    host.history("2026-11-21T22:18:44Z initialised system-id=1\n")
    made = plan(host, label="20261121-225358F")
    assert made.control is None
    assert not made.rescue


def test_a_time_before_an_earlier_restore_follows_the_timeline_of_then(host):
    host.history("2026-11-21T22:54:35Z restored system-id=%d from=2 timeline=16\n" % SYSTEM_ID)
    (host.data / "pg_wal/00000002.history").write_text("1\t0/D001350\tno recovery target specified\n")
    assert plan(host, time="2026-11-21T22:54:00Z").choice.timeline == 2
    assert plan(host, time="2026-11-21T22:54:36Z").choice.timeline == 16


def test_a_hole_that_only_the_old_data_can_fill_is_no_hole(host):
    host.info = changed(host.info, "backup_info.wal.missing", ["000000100000000000000090"])
    with pytest.raises(PgkeepError, match="000000100000000000000090"):
        plan(host)
    host.info = changed(host.info, "backup_info.wal.missing", ["000000100000000000000082"])
    assert plan(host).lost == ["000000100000000000000082"]


def test_a_wrong_passphrase_is_one_message(host):
    told = PgkeepError("The repository of app cannot be used", "it cannot be decrypted", "put the passphrase back")
    host.info = changed(host.info, "backup_info.status", "error")
    host.info = changed(host.info, "backup_info.status_text", str(told))
    with pytest.raises(PgkeepError) as caught:
        plan(host)
    assert str(caught.value) == str(told)


def test_a_full_disk(host):
    host.info = changed(host.info, "backup_info.backups.12.size_bytes", 1 << 60)
    with pytest.raises(PgkeepError, match=r"The restore of app cannot start.*nothing was changed"):
        plan(host)


def test_the_keepers_own_error_is_passed_on(host):
    host.keeper_answer = Result(1, json.dumps({"error": PgkeepError("No", "because", "then").to_result()}))
    with pytest.raises(PgkeepError, match=r"No\. Why: because\. Next: then\."):
        plan(host)


def test_wal_of_a_dead_server_is_rescued_for_a_time_too(host, monkeypatch):
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: False)
    made = plan(host, time="2026-11-21T22:54:30Z")
    assert (made.rescue, made.stop_first) == (True, False)
    assert not plan(host, label="20261121-225358F").rescue


def test_damaged_data_are_known_by_the_history_of_the_instance(host):
    (host.data / "global/pg_control").unlink()
    assert plan(host, label="20261121-225358F").control is None
    host.history("2026-11-21T22:18:44Z initialised system-id=%d\n" % SYSTEM_ID)
    made = plan(host)
    assert made.control is not None
    assert (made.control.timeline, made.rescue) == (16, True)


def test_a_hole_on_a_timeline_that_was_left_does_not_matter(host):
    host.info = changed(host.info, "backup_info.wal.missing", ["000000110000000000000090"])
    assert plan(host).choice.label == "20261121-225358F"
