# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _keeper as keepers
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options
from .recorded import load

ERROR = PgkeepError("The backup of app was not started", "another one runs", "repeat when it has ended", busy=True)


def test_the_answer_is_the_object():
    text = json.dumps(load("drill/info.json"))
    found = keepers.ask(lambda argv, **_rest: Result(0, text), Layout("app"), ["info"])
    assert found["backup_info"]["instance"] == "dr-a"


def test_the_error_of_the_keeper_is_raised_as_it_is():
    answer = Result(75, json.dumps({"error": ERROR.to_result()}))
    with pytest.raises(PgkeepError) as caught:
        keepers.ask(lambda argv, **_rest: answer, Layout("app"), ["backup"])
    assert caught.value.to_result() == ERROR.to_result()


@pytest.mark.parametrize(
    "stderr",
    [
        "Error response from daemon: No such container: app-keeper",
        "Error response from daemon: Container 5e is not running",
    ],
)
def test_a_keeper_that_is_not_there(stderr):
    with pytest.raises(PgkeepError) as caught:
        keepers.ask(lambda argv, **_rest: Result(1, "", stderr), Layout("app"), ["info"])
    assert caught.value.what == "The keeper of app cannot be asked"
    assert caught.value.next_step.startswith("docker start app-keeper")


@pytest.mark.parametrize("answer", [Result(1, "", "Traceback\nImportError: x"), Result(0, "[1]"), Result(0, "", "")])
def test_no_object_is_no_answer(answer):
    with pytest.raises(PgkeepError, match="gave no answer to pgkeep info"):
        keepers.answer(answer, ["info"])


def test_an_exit_code_is_believed_even_with_an_object():
    with pytest.raises(PgkeepError, match="exit code 3"):
        keepers.answer(Result(3, "{}"), ["info"])


def test_a_container_for_one_question_changes_nothing_and_needs_no_data_volume():
    commands = []

    def run(argv, **_rest):
        commands.append(argv)
        return Result(0, "{}")

    keeper = declare(options(), "sha256:server", "sha256:keeper").keeper
    keepers.once(run, keeper, ["pgkeep", "info"])
    assert [argv[1] for argv in commands] == ["rm", "run", "rm"]
    asked = commands[1]
    volumes = [value for flag, value in zip(asked, asked[1:]) if flag == "--volume"]
    assert all(volume.endswith(":ro") for volume in volumes)
    assert not any("app-data" in volume or "app-spool" in volume for volume in volumes)
    assert asked[-2:] == ["pgkeep", "info"]
    assert "--rm" in asked


def test_what_is_wrong_with_the_repository_is_said_once():
    told = PgkeepError("The repository cannot be used", "wrong passphrase", "put it back")
    info = {"status": "error", "status_text": str(told), "instance": "app"}
    with pytest.raises(PgkeepError) as caught:
        keepers.require_readable(info)
    assert str(caught.value) == str(told)
    with pytest.raises(PgkeepError, match="something else"):
        keepers.require_readable({**info, "status_text": "something else"})
    keepers.require_readable({**info, "status": "empty"})
