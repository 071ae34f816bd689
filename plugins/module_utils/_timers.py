# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own clocks for an instance's jobs: files for systemd or cron, as declared. Private to the collection.

Only the time is kept here. The job runs in the keeper, with the same record, audit trail and alert as on its own clock.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Iterable, Mapping

from ._errors import PgkeepError
from ._files import File
from ._layout import Layout
from ._run import Run
from ._schedule import weekdays

UNITS = "/etc/systemd/system"
CRONTABS = "/etc/cron.d"

# There while systemd is the init system (sd_booted(3)).
_BOOTED = "/run/systemd/system"

# Where systemd remembers when a persistent timer elapsed last (systemd.timer(5)).
_STAMPS = "/var/lib/systemd/timers"

_HEADER = "# Written by pgkeep for instance %s. Change the inventory, not this file.\n"

_SERVICE = """[Unit]
Description=pgkeep: {job} of {name}
Requires=docker.service
After=docker.service
{on_failure}
[Service]
Type=oneshot
ExecStart=/usr/bin/docker exec {keeper} pgkeep --actor systemd job {job}
# Somebody else works on the instance: the schedule's next run is soon enough.
SuccessExitStatus=75
"""

_TIMER = """[Unit]
Description=pgkeep: time for {job} of {name}

[Timer]
OnCalendar={calendar}
Persistent=true
RandomizedDelaySec={spread}
FixedRandomDelay=true

[Install]
WantedBy=timers.target
"""

_CRONTAB = """SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
*/5 * * * * root docker exec {keeper} pgkeep --actor cron due >/dev/null
"""


def timer_files(layout: Layout, topic: Mapping[str, Any]) -> tuple[File, ...]:
    """Files for the runner of the topic schedule; none for the runners keeper and none."""
    runner = topic.get("runner", "keeper")
    header = _HEADER % layout.name
    if runner == "cron":
        # Neither a time zone nor missed runs are known to cron; the keeper knows both and is only woken.
        content = header + _CRONTAB.format(keeper=layout.keeper)
        return (_plain("%s/pgkeep-%s" % (CRONTABS, layout.name), content),)
    if runner != "systemd":
        return ()
    on_failure = topic.get("on_failure") or ""
    files = []
    for job, cron in sorted((topic.get("jobs") or {}).items()):
        if not cron:
            continue
        words = {
            "job": job,
            "name": layout.name,
            "keeper": layout.keeper,
            "calendar": calendar(str(cron)),
            "spread": int(topic.get("spread_seconds", 0)),
            "on_failure": "OnFailure=%s\n" % on_failure if on_failure else "",
        }
        base = "%s/pgkeep-%s-%s" % (UNITS, layout.name, job)
        files.append(_plain(base + ".service", header + _SERVICE.format(**words)))
        files.append(_plain(base + ".timer", header + _TIMER.format(**words)))
    return tuple(files)


def _plain(path: str, content: str) -> File:
    return File(path, content, 0o644, gid=0)


def calendar(cron: str) -> str:
    """systemd.time(7) for a cron expression. Raises PgkeepError for what has not five fields or no day of the week.

    Whether such a time ever comes is judged by the keeper, see _schedule.
    """
    try:
        minute, hour, day, month, weekday = cron.split()
        days = "" if weekday == "*" else weekdays(weekday) + " "
    except ValueError as error:
        raise PgkeepError(
            "The expression %r cannot be used" % cron,
            str(error),
            "correct postgres_backup_schedule: it has five fields",
        ) from error
    return "%s*-%s-%s %s:%s:00 UTC" % (days, _field(month, 1), _field(day, 1), _field(hour, 0), _field(minute, 0))


def _field(text: str, first: int) -> str:
    """``*/5`` counts from the first value for cron, and has to say so for systemd."""
    return ",".join(
        part.replace("*/", "%d/" % first) if part.startswith("*/") else part.replace("-", "..")
        for part in text.split(",")
    )


def refuse_missing_clock(files: Iterable[File]) -> None:
    """A file for a clock that this host does not have would look like a schedule and be none."""
    for folder, clock, needed in ((UNITS, "systemd", _BOOTED), (CRONTABS, "cron", CRONTABS)):
        found = [file.path for file in files if file.path.startswith(folder + "/")]
        if found and not os.path.isdir(needed):
            raise PgkeepError(
                "The schedule cannot be kept by %s" % clock,
                "this host has no %s, so nothing would read %s" % (needed, found[0]),
                "set postgres_backup_runner to keeper, or install %s" % clock,
            )


def is_unit(path: str) -> bool:
    return path.startswith(UNITS + "/")


def is_clock(path: str) -> bool:
    """Whether the file makes the host start jobs: it has to go with the containers."""
    return is_unit(path) or path.startswith(CRONTABS + "/")


def remove_clocks(run: Run, layout: Layout, paths: Iterable[str]) -> None:
    found = [path for path in paths if os.path.exists(path)]
    units = [path for path in found if is_unit(path)]
    end_timers(run, layout, units)
    for path in found:
        os.unlink(path)
    if units:
        start_timers(run, layout, ())


def end_timers(run: Run, layout: Layout, units: Iterable[str]) -> None:
    """While their files are still there. When they are not, start_timers() lets systemd forget them."""
    names = [os.path.basename(path) for path in units]
    timers = [name for name in names if name.endswith(".timer")]
    if timers:
        _systemctl(run, layout, ["disable", "--now", *timers])
    if names:
        # systemd remembers one that failed also without its file. It fails for those that did not, which is as well.
        run(["systemctl", "reset-failed", *names], timeout=60)
    for name in timers:
        # Or timers of the same name that are made some day would catch up what they never missed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink("%s/stamp-%s" % (_STAMPS, name))


def start_timers(run: Run, layout: Layout, units: Iterable[str]) -> None:
    """Let systemd read all unit files anew, whether they came, changed or went, and keep the timers among units."""
    _systemctl(run, layout, ["daemon-reload"])
    started = [os.path.basename(path) for path in units if path.endswith(".timer")]
    if started:
        _systemctl(run, layout, ["enable", *started])
        # Not only started: a timer that runs keeps its old time.
        _systemctl(run, layout, ["restart", *started])


def _systemctl(run: Run, layout: Layout, words: list[str]) -> None:
    result = run(["systemctl", *words], timeout=60)
    if result.rc != 0:
        raise PgkeepError(
            "The timers of %s could not be set" % layout.name,
            "systemctl %s: %s" % (words[0], (result.stderr or result.stdout).strip()),
            "look at systemctl list-timers 'pgkeep-%s-*' and repeat" % layout.name,
        )
