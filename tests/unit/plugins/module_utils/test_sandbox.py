# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy as a process: settings, leftovers, deadline. That it restores is shown by tests/integration."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill as drilling
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_ask as asking
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_duty as duty
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_record as records
from ansible_collections.pgkeep.postgres.plugins.module_utils import _sandbox as sandbox
from ansible_collections.pgkeep.postgres.plugins.module_utils import _sandbox_keeper as keeper_sandbox
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._lock import hold
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

MB = 1 << 20


@pytest.mark.parametrize(
    ("files", "bytes_"),
    [
        (["536870912"], 512 * MB),
        (["max"], 512 * MB),
        (["9223372036854771712"], 512 * MB),
        ([None, "268435456"], 256 * MB),
        ([None, None], 512 * MB),
    ],
    ids=["version 2", "no limit", "version 1 without limit", "version 1", "neither"],
)
def test_the_limit_is_the_containers(tmp_path, files, bytes_):
    for number, content in enumerate(files):
        if content is not None:
            (tmp_path / str(number)).write_text(content + "\n")
    assert keeper_sandbox.memory_limit([str(tmp_path / str(number)) for number in range(len(files))]) == bytes_


def test_the_copy_is_alone_and_small():
    settings = keeper_sandbox.settings("/scratch/drill", 512 * MB)
    assert settings["listen_addresses"] == ""
    assert settings["archive_mode"] == "off"
    assert settings["unix_socket_directories"] == "/scratch/drill/run"
    assert settings["hba_file"] == "/scratch/drill/state/pg_hba.conf"
    assert settings["max_worker_processes"] == "0"
    assert (settings["shared_buffers"], settings["maintenance_work_mem"]) == ("64MB", "64MB")


def sleeper(folder, deaf=False):
    """A process in folder; a deaf one minds no polite signal."""
    # A shell that runs the tests in the background has them ignored, and that is inherited.
    words = "import signal, time\n"
    words += "for number in signal.SIGINT, signal.SIGQUIT: signal.signal(number, signal.%s)\n" % (
        "SIG_IGN" if deaf else "SIG_DFL"
    )
    process = subprocess.Popen(
        ["python3", "-c", words + "print(flush=True); time.sleep(60)"], cwd=folder, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    return process


@pytest.mark.parametrize(
    ("deaf", "ended_by"), [(False, (signal.SIGINT, signal.SIGQUIT)), (True, (signal.SIGKILL,))], ids=["polite", "deaf"]
)
def test_leftovers_are_ended_and_removed(tmp_path, monkeypatch, deaf, ended_by):
    # One that ends politely may need long for it on a busy machine; the wait for a deaf one is over in any case.
    monkeypatch.setattr(keeper_sandbox, "_POLITE_SECONDS", 0.3 if deaf else 300)
    (tmp_path / "scratch/drill/data").mkdir(parents=True)
    (tmp_path / "scratch-of-another").mkdir()
    copy = sleeper(tmp_path / "scratch/drill/data", deaf)
    stranger = sleeper(tmp_path / "scratch-of-another")

    try:
        assert keeper_sandbox.below(str(tmp_path / "scratch")) == [copy.pid]
        assert keeper_sandbox.clear(str(tmp_path / "scratch"))
        assert -copy.wait(60) in ended_by
        assert stranger.poll() is None
    finally:
        for process in (copy, stranger):
            process.kill()
            process.wait()
            process.stdout.close()
    assert os.listdir(tmp_path / "scratch") == []
    assert not keeper_sandbox.clear(str(tmp_path / "scratch"))


def test_the_keeper_leaves_a_running_drill_alone(tmp_path):
    scratch = tmp_path / "scratch"
    (scratch / "drill").mkdir(parents=True)
    keeper = Keeper("app", run, "", state=str(tmp_path))
    with hold(str(tmp_path / "drill.lock"), "drill of app"):
        duty.tick(keeper, str(scratch))
    assert os.listdir(scratch) == ["drill"]
    duty.tick(keeper, str(scratch))
    assert os.listdir(scratch) == []


def test_a_topic_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "keeper.json").write_text('{"drill": {"checks": [{"name": "x"}]}}')
    with pytest.raises(PgkeepError, match="has not exactly the keys"):
        duty.check(Keeper("app", run, "", config=str(tmp_path)))


def test_a_deadline_ends_the_copy_once():
    killed = []
    with sandbox.Deadline(0.01, lambda: killed.append(1)) as deadline:
        end = time.monotonic() + 60
        while not deadline.passed and time.monotonic() < end:
            time.sleep(0.01)
    assert deadline.passed
    assert killed == [1]
    with sandbox.Deadline(60, lambda: killed.append(2)) as deadline:
        pass
    assert not deadline.passed
    assert 50 < deadline.left <= 60
    assert killed == [1]


def test_what_fails_because_the_time_was_over_condemns_nothing():
    done = records.Drill("app", "20261121-225358F", "keeper", passed=False)
    done.check("amcheck", lambda: (False, "terminating connection"))
    assert done.condemned
    drilling._overdue(done, 60)
    assert not done.condemned
    error = drilling._failure(keeper_sandbox.KeeperSandbox(Keeper("app", run, "")), done, drilling.Request())
    assert error.why == "amcheck: terminating connection; deadline: not done after 60 s, so the copy was ended"
    assert "postgres_backup_drill_timeout_minutes" in error.next_step


def test_the_words_for_the_keeper():
    assert asking.words(drilling.Request(), False) == ["drill"]
    request = drilling.Request("20261121-225358F", 3600, False, 90, True, repository=2)
    assert asking.words(request, True) == [
        "drill",
        "--repo=2",
        "--label=20261121-225358F",
        "--max-age=3600",
        "--timeout=90",
        "--no-heapallindexed",
        "--keep-on-failure",
        "--check",
    ]
