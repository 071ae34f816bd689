# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who works on an instance, and for how long that is believed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _maintenance as maintenance
from ansible_collections.pgkeep.postgres.plugins.module_utils._audit import operations, records
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._files import File
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout


@pytest.fixture(name="layout")
def fixture_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """The instance shop, whose state folder is tmp_path; files belong to whoever runs the tests."""
    monkeypatch.setattr(Layout, "state_dir", property(lambda self: str(tmp_path)))

    def plain(file: File) -> None:
        Path(file.path).write_text(file.content, encoding="utf-8")

    monkeypatch.setattr(maintenance, "write", plain)
    monkeypatch.setattr(maintenance, "UID", os.getuid())
    monkeypatch.setattr(maintenance, "GID", os.getgid())
    monkeypatch.setattr("ansible_collections.pgkeep.postgres.plugins.module_utils._audit.UID", os.getuid())
    monkeypatch.setattr("ansible_collections.pgkeep.postgres.plugins.module_utils._audit.GID", os.getgid())
    return Layout("shop")


def work_for_ever(layout: Layout, begun: Any) -> None:
    with maintenance.working(layout, "restore of shop", "host:alice"):
        begun.set()
        time.sleep(60)


def test_nothing_is_being_done(layout: Layout) -> None:
    assert maintenance.current(layout.state_dir, time.time()) is None
    assert maintenance.current("/nonexistent", time.time()) is None


def test_an_operation_is_seen_while_it_works_and_not_afterwards(layout: Layout) -> None:
    with maintenance.working(layout, "restart of shop", "host:alice"):
        found = maintenance.current(layout.state_dir, time.time())
        assert found is not None
        assert (found.reason, found.who, found.until) == ("restart of shop", "host:alice", None)
        assert not found.drains
    assert maintenance.current(layout.state_dir, time.time()) is None


def test_an_operation_that_is_killed_is_over(layout: Layout) -> None:
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(target=work_for_ever, args=(layout, begun))
    process.start()
    assert begun.wait(10)
    assert maintenance.current(layout.state_dir, time.time()) is not None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert maintenance.current(layout.state_dir, time.time()) is None


def test_work_goes_on_where_it_cannot_be_noted(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "_WAIT_SECONDS", 0)
    done = []
    with maintenance.working(layout, "deploy of shop", "a"), maintenance.working(layout, "restart of shop", "a"):
        done.append(1)
    monkeypatch.setattr(Layout, "state_dir", property(lambda self: "/nonexistent"))
    with maintenance.working(layout, "deploy of shop", "a"):
        done.append(2)
    assert done == [1, 2]


def test_an_error_of_the_work_passes_through(layout: Layout) -> None:
    with pytest.raises(OSError, match="of the work"), maintenance.working(layout, "restart of shop", "a"):
        raise OSError("of the work")


def test_announced_work_ends_by_itself(layout: Layout) -> None:
    told = maintenance.order(layout, 30, " new disk ", "host:alice", False)
    assert told["changed"]
    now = time.time()
    found = maintenance.current(layout.state_dir, now)
    assert found is not None
    assert (found.reason, found.who, found.drains) == ("new disk", "host:alice", True)
    assert maintenance.current(layout.state_dir, now + 29 * 60) == found
    assert maintenance.current(layout.state_dir, now + 30 * 60 + 1) is None
    # The clock was set back for years: it does not last for years.
    assert maintenance.current(layout.state_dir, now - 10**8) is None


def test_announced_work_is_taken_back_once(layout: Layout) -> None:
    maintenance.order(layout, 30, "new disk", "a", False)
    assert maintenance.order(layout, 0, "", "a", True) == {"changed": True, "maintenance": None}
    assert maintenance.current(layout.state_dir, time.time()) is not None
    assert maintenance.order(layout, 0, "", "a", False)["changed"]
    assert not maintenance.order(layout, 0, "", "a", False)["changed"]
    assert maintenance.current(layout.state_dir, time.time()) is None
    actions = [each["action"] for each in operations(records(layout.state_dir))]
    assert actions == ["maintenance", "end of maintenance"]


def test_check_mode_announces_nothing(layout: Layout) -> None:
    assert maintenance.order(layout, 30, "new disk", "a", True)["changed"]
    assert maintenance.current(layout.state_dir, time.time()) is None


@pytest.mark.parametrize(("minutes", "reason"), [(-1, "x"), (1441, "x"), (30, ""), (30, "  ")])
def test_what_would_silence_for_ever_or_says_nothing_is_refused(layout: Layout, minutes: int, reason: str) -> None:
    with pytest.raises(PgkeepError, match="1 to 1440 minutes"):
        maintenance.order(layout, minutes, reason, "a", False)


def test_an_unknown_instance_is_refused(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layout, "state_dir", property(lambda self: "/nonexistent/state"))
    with pytest.raises(PgkeepError, match="never deployed here"):
        maintenance.order(layout, 30, "new disk", "a", False)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"until": 5}', '{"until": "soon"}', json.dumps({"until": None})])
def test_a_file_that_says_nothing_silences_nothing(layout: Layout, text: str) -> None:
    Path(layout.state_dir, maintenance.FILE).write_text(text, encoding="utf-8")
    assert maintenance.current(layout.state_dir, time.time()) is None
