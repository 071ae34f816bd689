# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._pg_upgrade import Upgrader, refusal
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options

FIXTURES = Path(__file__).parents[3] / "fixtures/pg_upgrade"


class Engine:
    """Remembers every command; the container of pg_upgrade ends with answer."""

    def __init__(self, answer):
        self.answer = answer
        self.commands = []

    def __call__(self, argv, data=None, env=None, timeout=None):
        self.commands.append(argv)
        return self.answer if argv[1] == "run" else Result(0, "[{}]")


def upgrader(engine, preload=""):
    server = declare(options(), "sha256:new", "sha256:keeper").server
    return Upgrader(engine, Layout("app"), server, "app-data", 15, preload)


def test_a_refused_check_is_told_with_the_objects_it_is_about():
    told = refusal((FIXTURES / "aclitem.txt").read_text())
    assert 'Your installation contains the "aclitem" data type in user tables.' in told
    assert told.endswith("; tables_using_aclitem.txt: In database: app public.bad.a")
    # A path in a container that is gone, and a word that says nothing.
    assert "pg_upgrade_output.d" not in told
    assert "Failure, exiting" not in told


def test_a_failed_link_is_told_without_advice_about_the_old_data():
    told = refusal((FIXTURES / "link.txt").read_text())
    assert told.startswith('Linking user relation files error while creating link for relation "public.orders"')
    assert told.endswith("No such file or directory")
    assert ".old" not in told


def test_an_end_without_a_word_is_told_as_such():
    assert refusal("") == "no message"


def test_errors_of_the_programs_it_runs_are_told_where_it_wrote_no_list():
    said = 'Restoring database schemas in the new cluster\n*failure*\npgkeep-log ERROR:  type "x" does not exist\n'
    assert refusal(said).endswith('; ERROR: type "x" does not exist')


def test_the_container_of_pg_upgrade_has_the_data_the_old_programs_and_nothing_else():
    engine = Engine(Result(0))
    upgrader(engine, "pgaudit").upgrade("/old", "/new", "link")
    argv = next(argv for argv in engine.commands if argv[1] == "run")
    volumes = [argv[number + 1] for number, word in enumerate(argv) if word == "--volume"]
    assert volumes == ["app-data:/var/lib/postgresql", "app-upgrade-old:/old/usr:ro"]
    assert argv[argv.index("--network") + 1] == "none"
    assert "--publish" not in argv
    assert "--link" in argv
    assert "--old-options=-c shared_preload_libraries='pgaudit'" in argv
    assert engine.commands[-1] == ["docker", "rm", "--force", "app-upgrade"]


def test_a_refusal_removes_the_container_too():
    engine = Engine(Result(1, (FIXTURES / "aclitem.txt").read_text()))
    with pytest.raises(PgkeepError, match="aclitem"):
        upgrader(engine).upgrade("/old", "/new", "copy")
    assert engine.commands[-1] == ["docker", "rm", "--force", "app-upgrade"]
