# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _timers as timers
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

LAYOUT = Layout("app")
JOBS = {"full": "0 2 * * 0", "diff": "0 2 * * 1-6", "incr": None}


# Each was read by systemd-analyze calendar, which named the expected moments.
@pytest.mark.parametrize(
    "cron, expected",
    [
        ("0 2 * * 0", "sun *-*-* 2:0:00 UTC"),
        ("0 2 * * 1-6", "mon,tue,wed,thu,fri,sat *-*-* 2:0:00 UTC"),
        ("*/20 * * * *", "*-*-* *:0/20:00 UTC"),
        ("0 */6 */2 1-3 *", "*-1..3-1/2 0/6:0:00 UTC"),
        ("15,45 8-18/2 1 * *", "*-*-1 8..18/2:15,45:00 UTC"),
    ],
)
def test_a_cron_expression_as_a_calendar(cron, expected):
    assert timers.calendar(cron) == expected


@pytest.mark.parametrize("cron", ["0 2 * *", "0 2 * * 9", ""])
def test_what_is_no_expression(cron):
    with pytest.raises(PgkeepError, match="postgres_backup_schedule"):
        timers.calendar(cron)


def test_a_timer_for_every_job_that_has_a_time():
    files = timers.timer_files(
        LAYOUT, {"runner": "systemd", "jobs": JOBS, "spread_seconds": 120, "on_failure": "mail@%n.service"}
    )
    by_name = {file.path.rsplit("/", 1)[1]: file for file in files}
    assert set(by_name) == {
        "pgkeep-app-%s.%s" % (job, kind) for job in ("full", "diff") for kind in ("service", "timer")
    }
    timer, service = by_name["pgkeep-app-full.timer"].content, by_name["pgkeep-app-full.service"].content
    for line in ("OnCalendar=sun *-*-* 2:0:00 UTC", "Persistent=true", "RandomizedDelaySec=120"):
        assert line in timer.splitlines()
    assert "ExecStart=/usr/bin/docker exec app-keeper pgkeep --actor systemd job full" in service.splitlines()
    assert "OnFailure=mail@%n.service" in service.splitlines()
    assert {file.mode for file in files} == {0o644}


def test_cron_only_wakes_the_keeper():
    (file,) = timers.timer_files(LAYOUT, {"runner": "cron", "jobs": JOBS})
    assert file.path == "/etc/cron.d/pgkeep-app"
    assert "*/5 * * * * root docker exec app-keeper pgkeep --actor cron due" in file.content


@pytest.mark.parametrize("topic", [{}, {"runner": "keeper", "jobs": JOBS}, {"runner": "none", "jobs": JOBS}])
def test_no_file_for_a_clock_that_is_not_the_hosts(topic):
    assert timers.timer_files(LAYOUT, topic) == ()


def test_a_clock_that_the_host_does_not_have(monkeypatch):
    files = timers.timer_files(LAYOUT, {"runner": "systemd", "jobs": JOBS})
    monkeypatch.setattr(timers, "_BOOTED", "/nonexistent")
    with pytest.raises(PgkeepError, match="cannot be kept by systemd.*set postgres_backup_runner to keeper"):
        timers.refuse_missing_clock(files)
    timers.refuse_missing_clock(())


def test_timers_that_go_are_stopped_while_their_files_are_there():
    said = []

    def run(argv, **options):
        said.append(argv[1:])
        return Result(0)

    timers.end_timers(run, LAYOUT, ["/etc/systemd/system/old.service", "/etc/systemd/system/old.timer"])
    assert said == [["disable", "--now", "old.timer"], ["reset-failed", "old.service", "old.timer"]]
    said.clear()
    timers.start_timers(run, LAYOUT, ["/etc/systemd/system/new.timer"])
    assert said == [["daemon-reload"], ["enable", "new.timer"], ["restart", "new.timer"]]


def test_a_timer_that_ended_leaves_no_stamp(tmp_path, monkeypatch):
    monkeypatch.setattr(timers, "_STAMPS", str(tmp_path))
    (tmp_path / "stamp-old.timer").touch()
    (tmp_path / "stamp-other.timer").touch()
    timers.end_timers(lambda argv, **options: Result(0), LAYOUT, ["/etc/systemd/system/old.timer"])
    assert [path.name for path in tmp_path.iterdir()] == ["stamp-other.timer"]


def test_systemd_reads_the_folder_after_the_files_are_gone(tmp_path, monkeypatch):
    """Or it lists units without files until somebody else makes it read."""
    monkeypatch.setattr(timers, "UNITS", str(tmp_path))
    files = [tmp_path / "old.service", tmp_path / "old.timer"]
    for file in files:
        file.touch()
    said = []

    def run(argv, **options):
        said.append((argv[1], [file.exists() for file in files]))
        return Result(0)

    timers.remove_clocks(run, LAYOUT, [str(file) for file in files])
    assert said == [("disable", [True, True]), ("reset-failed", [True, True]), ("daemon-reload", [False, False])]


def test_a_systemd_that_refuses():
    with pytest.raises(PgkeepError, match="systemctl daemon-reload: no bus"):
        timers.start_timers(lambda argv, **options: Result(1, "", "no bus"), LAYOUT, ())
