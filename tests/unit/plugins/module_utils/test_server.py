# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a server does not come up, told in its own words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _server as server
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

# As the entrypoint prints it where the volume was lost and on_empty says refuse.
REFUSAL = (
    "pgkeep: The data directory is empty. Why: the repository holds backups of orders and on_empty says refuse."
    " Next: run the playbook restore.yml."
)


@pytest.fixture(autouse=True)
def nobody_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "accepts_writes", lambda layout: False)


def failure(log: str, running: bool, seconds: float = 60) -> PgkeepError:
    def run(argv: list[str], data: Any = None, env: Any = None, timeout: Any = None) -> Result:
        if argv[1] == "logs":
            return Result(0, "", log)
        return Result(0, json.dumps([{"State": {"Running": running, "Restarting": False}, "RestartCount": 0}]))

    ticks = iter(range(1000))
    with pytest.raises(PgkeepError) as caught:
        server.wait_until_serving(run, Layout("orders"), seconds, lambda: next(ticks), lambda seconds: None)
    return caught.value


def test_the_entrypoints_three_parts_are_passed_on_and_not_nested() -> None:
    error = failure("noise\n%s\n" % REFUSAL, running=False)
    assert error.what == "The server of orders does not start: The data directory is empty"
    assert error.why == "the repository holds backups of orders and on_empty says refuse"
    assert error.next_step == "run the playbook restore.yml"
    assert str(error).count("Why:") == str(error).count("Next:") == 1


def test_a_refusal_of_an_earlier_start_is_not_the_reason() -> None:
    error = failure(REFUSAL + "\n2026-11-24 06:00:00.000 UTC [1] FATAL:  out of memory\n", running=False)
    assert (error.what, error.why) == ("The server of orders does not start", "out of memory")


def test_postgresqls_last_words_come_without_time_and_level() -> None:
    log = "2026-11-24 06:00:00.000 UTC [1] FATAL:  could not map anonymous shared memory: Cannot allocate memory\n"
    error = failure(log, running=False)
    assert error.why == "could not map anonymous shared memory: Cannot allocate memory"


def test_a_server_that_takes_too_long_is_told_with_the_variable_that_helps() -> None:
    error = failure("2026-11-24 06:00:00.000 UTC [1] LOG:  redo starts at 0/1\n", running=True, seconds=5)
    assert "within 5 s" in error.why
    assert "postgres_server_start_timeout_seconds" in error.next_step
