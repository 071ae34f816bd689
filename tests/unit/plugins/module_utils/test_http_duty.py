# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the endpoints know, when they hear of something new, and what is refused. Clients: molecule/observe."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _http_duty as duty
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._board import Board
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run


def keeper_with(folder: Path, topic: dict[str, Any] | None, token: str | None = "first\n") -> Keeper:
    (folder / "keeper.json").write_text(json.dumps({"http": topic} if topic else {}))
    if token is not None:
        (folder / "keeper.token").write_text(token)
    return Keeper("app", run, "", state=str(folder), config=str(folder))


@pytest.mark.parametrize(
    ("topic", "token", "words"),
    [
        ({"interval_seconds": 5}, "\n", "keeper.token is empty"),
        ({"interval_seconds": 5}, None, "misses a secret"),
        ({"interval_seconds": 5, "environment": "prod"}, "x\n", "environment is 'prod', known are production"),
        ({"interval_seconds": 0.1}, "x\n", "interval_seconds is 0.1"),
        ({"interval_seconds": 3600}, "x\n", "interval_seconds is 3600"),
    ],
)
def test_what_cannot_be_served_is_refused_before_it_is_in_force(tmp_path, topic, token, words):
    with pytest.raises(PgkeepError, match=words):
        duty.check(keeper_with(tmp_path, topic, token))


def test_a_keeper_that_shall_not_serve_needs_no_token_and_listens_nowhere(tmp_path):
    keeper = keeper_with(tmp_path, None, None)
    duty.check(keeper)
    duty.Service(Board(), print, port=1).tick(keeper)


def test_a_new_token_and_a_new_report_are_known_at_the_next_tick(tmp_path, monkeypatch):
    over, apps, said = threading.Event(), [], []

    def make_server(app, *place_and_say):
        apps.append(app)
        return SimpleNamespace(serve=over.wait)

    monkeypatch.setattr(duty, "make_server", make_server)
    keeper = keeper_with(tmp_path, {"interval_seconds": 5})
    service = duty.Service(Board(), said.append)

    def ask(path: str, token: str) -> tuple[int, Any]:
        service.tick(keeper)
        answer = apps[0].test_client().get(path, headers={"Authorization": "Bearer " + token})
        return answer.status_code, answer.json

    assert ask("/status", "first")[0] == 200
    assert ask("/ready", "")[0] == 503
    (tmp_path / "keeper.token").write_text("second\n")
    assert ask("/status", "first")[0] == 401
    assert ask("/production-readiness", "second")[1]["verdict"] is None
    (tmp_path / "preflight.json").write_text('{"verdict": "READY", "generated_at": "2026-11-24T10:00:00Z"}')
    assert ask("/production-readiness", "second")[1]["verdict"] == "READY"
    (tmp_path / "preflight.json").write_text("half of a rep")
    assert ask("/production-readiness", "second")[1]["verdict"] is None
    assert ask("/production-readiness", "second")[1]["verdict"] is None
    assert len([words for words in said if "preflight.json cannot be read" in words]) == 1
    assert len(apps) == 1
    # A server that ended is made anew.
    over.set()
    wait_for(lambda: "http" not in [thread.name for thread in threading.enumerate()])
    ask("/live", "")
    assert len(apps) == 2


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_who_asks_often_does_not_fill_the_log():
    now, said = [0.0], []
    seldom = duty.Seldom(said.append, lambda: now[0])
    for turn in range(1000):
        seldom("the same")
        seldom("another %d" % turn)
    assert len(said) == 20
    now[0] = 601.0
    seldom("the same")
    assert said.count("the same") == 2
