# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._docker import attempt
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result, run

# Words of the client of Docker 28; that of 20.10 begins the second with Got.
NO_ENGINE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
NO_RIGHTS = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get"


@pytest.mark.parametrize("words", [NO_ENGINE, "Got " + NO_RIGHTS, NO_RIGHTS])
def test_an_engine_that_does_not_answer(words: str) -> None:
    with pytest.raises(PgkeepError, match="engine does not answer.*systemctl start docker"):
        attempt(lambda argv, **_more: Result(1, "", words), ["info"])


@pytest.mark.parametrize(
    "words",
    [
        "psql: error: connection to server failed: connection refused",
        'OCI runtime exec failed: exec failed: "pgbackrest": permission denied: unknown',
    ],
)
def test_what_a_command_in_a_container_says_is_not_the_engine(words: str) -> None:
    assert attempt(lambda argv, **_more: Result(126, "", words), ["exec", "app", "x"]).rc == 126


def test_a_command_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(PgkeepError, match="could not be started.*not installed"):
        run([str(tmp_path / "absent")])
    with pytest.raises(PgkeepError, match="could not be started.*Permission denied"):
        run([str(tmp_path)])
