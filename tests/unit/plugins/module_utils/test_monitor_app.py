# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of the monitor without a terminal: every key, every dialog, and that nothing can stop it."""

from __future__ import annotations

import asyncio
import io
import subprocess
import threading
import time

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._monitor_app import dashboard

from .monitor_case import HOSTILE, seen
from .recorded import load

pytest.importorskip("textual")


class Job:
    """A backup or restart that ends when the test says so."""

    def __init__(self, name):
        self.name, self.began, self.end = name, time.monotonic(), None

    def done(self):
        return self.end


class Log:
    """A process that has said these lines and said no more."""

    def __init__(self, *lines):
        self.stdout, self.ended = io.BytesIO("".join(line + "\n" for line in lines).encode()), 0

    def kill(self):
        self.ended += 1

    def wait(self):
        pass


class Work:
    layout = Layout("app")

    def __init__(self):
        self.jobs, self.ended, self.errors = [], [], []
        self.process = Log("LOG:  hello", "ERROR:  relation [bold]x[/] " + HOSTILE.replace("\n", " "), "WARNING:  hm")

    def fail(self):
        for error in self.errors:
            raise error

    def _job(self, name):
        self.fail()
        self.jobs.append(Job(name))
        return self.jobs[-1]

    def backup(self):
        return self._job("backup")

    def restart(self):
        return self._job("restart")

    def sessions(self):
        self.fail()
        return [
            {**each, "began": "2026-11-24 10:00:00+00"} for each in load("keeper/status.json")["sessions"]["longest"]
        ]

    def terminate(self, session):
        self.fail()
        self.ended.append(session["pid"])

    def log(self):
        return self.process


class Case:
    def __init__(self, status):
        self.status, self.work, self.looks = status, Work(), 0

    def look(self):
        self.looks += 1
        return self.status

    def see(self):
        """look() may be exchanged while the screen is there."""
        return self.look()

    def run(self, body, size=(100, 30), interval=5.0):
        """body(app, pilot) on the screen; whatever it raises is raised here."""

        async def on_screen():
            app = dashboard(self.see, self.work, interval)
            async with app.run_test(size=size) as pilot:
                await until(pilot, lambda: app.seen is not None)
                await body(app, pilot)

        asyncio.run(on_screen())


async def until(pilot, condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await pilot.pause(0.02)


def words(app, name, base=True):
    found = (app.screen_stack[0] if base else app.screen).query_one("#" + name)
    return "\n".join(strip.text for strip in found.render_lines(found.size.region)) if found.size.height else ""


@pytest.fixture
def case(tmp_path, monkeypatch):
    return Case(seen(tmp_path, monkeypatch))


def idle(status):
    return {**status, "backup": {**status["backup"], "running": None}}


@pytest.mark.parametrize("size", [(100, 30), (80, 24), (160, 50), (40, 10), (10, 3)])
def test_it_shows_the_state_at_every_size(case, size):
    async def body(app, pilot):
        await pilot.pause()
        assert "WARNING"[: size[0] - 5] in words(app, "verdict")
        if size[0] >= 80:
            assert "data" in words(app, "verdict")
            assert "75.2 %" in words(app, "checks")
            assert "UPD" in words(app, "transactions")
            assert "42 %" in words(app, "backup")
            assert "days" in words(app, "verdict")

    case.run(body, size)


def test_a_backup_runs_beside_the_screen(case):
    case.status = idle(case.status)

    async def body(app, pilot):
        await pilot.press("b")
        assert [job.name for job in case.work.jobs] == ["backup"]
        await until(pilot, lambda: "Backup runs for" in words(app, "message"))
        await pilot.press("B", "r")
        assert len(case.work.jobs) == 1
        await until(pilot, lambda: "A backup runs; restart when it has ended" in words(app, "message"))
        looks = case.looks
        case.work.jobs[0].end = (0, "label 20261124-100000F\nclean yes")
        await until(pilot, lambda: "Backup done. label 20261124-100000F" in words(app, "message"))
        await until(pilot, lambda: case.looks > looks)
        await pilot.press("escape")
        await pilot.pause()
        assert words(app, "message") == ""

    case.run(body)


def test_a_backup_that_somebody_else_began_is_not_begun_again(case):
    async def body(app, pilot):
        await pilot.press("b")
        await until(pilot, lambda: "A backup runs already (42 %), since 2026-11-24T10:00:00Z" in words(app, "message"))
        assert case.work.jobs == []

    case.run(body)


def test_a_failure_says_what_why_next(case):
    case.status = idle(case.status)

    async def body(app, pilot):
        await pilot.press("b")
        case.work.jobs[0].end = (1, "error: The backup failed\nwhy:   [bold]no[/] space\nnext:  free some")
        await until(pilot, lambda: "free some" in words(app, "message"))
        assert "why:   [bold]no[/] space".replace("   ", " ") in words(app, "message")
        case.work.errors = [PgkeepError("The backup could not be started", "no program", "install it")]
        await pilot.press("b")
        await until(pilot, lambda: "Next: install it" in words(app, "message"))

    case.run(body)


def test_restart_on_production_wants_the_name(case):
    async def body(app, pilot):
        await pilot.press("r")
        await pilot.press(*"shop", "enter")
        await pilot.pause()
        assert "That is not app" in words(app, "asked", base=False)
        await pilot.press("escape")
        assert case.work.jobs == []
        await pilot.press("R", *"app", "enter")
        assert [job.name for job in case.work.jobs] == ["restart"]

    case.run(body)


@pytest.mark.parametrize("environment, key, jobs", [("development", "y", 1), ("development", "n", 0), (None, "y", 0)])
def test_restart_elsewhere_asks_yes_or_no(case, environment, key, jobs):
    """An environment that nobody knows is treated as production."""
    case.status = {**case.status, "instance": {**case.status["instance"], "environment": environment}}

    async def body(app, pilot):
        await pilot.press("r", key, "escape")
        await pilot.pause()
        assert len(case.work.jobs) == jobs

    case.run(body)


def test_stop_ends_the_looking_and_not_the_server(case):
    async def body(app, pilot):
        await pilot.press("s")
        looks = case.looks
        await pilot.pause(0.5)
        assert case.looks == looks
        assert "STOPPED, S goes on" in words(app, "verdict")
        assert "app goes on working" in words(app, "message")
        await pilot.press("p")
        await until(pilot, lambda: case.looks > looks)
        await pilot.pause()
        assert "data" in words(app, "verdict")
        assert case.work.jobs == []

    case.run(body, interval=0.1)


def test_sessions_are_listed_and_ended_after_a_question(case):
    async def body(app, pilot):
        await pilot.press("k")
        assert len(app.screen_stack) == 1, "the key is for view 2"
        await pilot.press("2")
        await until(pilot, lambda: app.sessions)
        await pilot.pause()
        assert "UPDATE stock" in words(app, "one")
        await pilot.press("down", "k", "n", "k", "y")
        await until(pilot, lambda: case.work.ended == [64])
        await until(pilot, lambda: "Session 64 was ended" in words(app, "message"))
        case.work.errors = [PgkeepError("Session 64 was not ended", "it is over already", "look at the list")]
        await pilot.press("k", "y")
        await until(pilot, lambda: "it is over already" in words(app, "message"))
        await pilot.press("3")
        await pilot.pause()
        assert "Slowest statements" in words(app, "all")
        await pilot.press("1")

    case.run(body)


def test_sessions_of_a_server_that_does_not_answer(case):
    async def body(app, pilot):
        case.work.errors = [PgkeepError("PostgreSQL did not do what it was asked", "it is down", "start it")]
        await pilot.press("2")
        await until(pilot, lambda: "it is down" in words(app, "message"))
        assert "WARNING" in words(app, "verdict")

    case.run(body)


def test_the_log_follows_filters_and_searches(case):
    async def body(app, pilot):
        await pilot.press("l")
        screen = app.screen
        await until(pilot, lambda: len(screen.kept) == 3)
        assert "3 of the newest 3 lines" in words(app, "head", base=False)
        assert all(line.isprintable() for line in screen.kept)
        await pilot.press("e")
        await pilot.pause()
        assert "1 of the newest 3 lines · errors only" in words(app, "head", base=False)
        await pilot.press("e", "slash", *"HEL", "enter", "f")
        await pilot.pause()
        assert "1 of the newest 3 lines · with 'HEL' · stopped" in words(app, "head", base=False)
        assert "hello" in words(app, "log", base=False)
        await pilot.press("f", "slash", "escape")
        await pilot.pause()
        assert "3 of the newest 3 lines · following" in words(app, "head", base=False)
        await pilot.press("escape")
        await until(pilot, lambda: case.work.process.ended)
        assert len(app.screen_stack) == 1

    case.run(body)


def test_help_names_every_key_and_any_key_closes_it(case):
    async def body(app, pilot):
        await pilot.press("question_mark")
        assert len(app.screen_stack) == 2
        await pilot.press("b")
        assert len(app.screen_stack) == 1
        assert case.work.jobs == []

    case.run(body)


def test_quit(case):
    async def body(app, pilot):
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
        assert app.return_code == 0

    case.run(body)


def test_a_keeper_that_falls_silent_makes_the_data_old_and_the_verdict_critical(case, tmp_path, monkeypatch):
    async def body(app, pilot):
        case.status = seen(tmp_path, monkeypatch, lambda url, token: "")
        await until(pilot, lambda: app.seen["silent"])
        await pilot.pause()
        assert "CRITICAL" in words(app, "verdict")
        assert "the keeper does not answer" in words(app, "verdict")
        assert "UPDATE stock" in words(app, "transactions"), "what was known stays"
        app.born -= 20
        app.draw()
        await pilot.pause()
        assert "STALE 2" in words(app, "verdict")

    case.run(body, interval=1.0)


def test_a_look_that_hangs_stops_no_key(case):
    """The screen counts the age and obeys; one look hangs and no second one is begun behind it."""
    gate = threading.Event()

    async def body(app, pilot):
        hung = []

        def hang():
            hung.append(1)
            gate.wait(20)
            return case.status

        case.look = hang
        await until(pilot, lambda: hung)
        await pilot.pause(0.3)
        await pilot.press("question_mark", "x", "r", "escape", "3", "1")
        assert len(hung) == 1
        gate.set()

    case.run(body, interval=0.05)


def test_without_colours(case, monkeypatch):
    """NO_COLOR: symbols and words say the same."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app, pilot):
        await pilot.pause()
        assert "▲ WARNING" in words(app, "verdict")

    case.run(body)


def test_the_process_of_the_log_is_ended(case):
    """A real one, that would follow for ever."""
    argv = ["tail", "-f", "/dev/null"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    case.work.process = process

    async def body(app, pilot):
        await pilot.press("l", "q")
        await until(pilot, lambda: not app.is_running)

    case.run(body)
    assert process.poll() is not None
    process.stdout.close()
