# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _server_log as server_log
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options

DDL = {"connections": False, "audit": "ddl"}


def conf(declared, name):
    return next(file.content for file in declared.files if file.path.endswith(name))


def test_nothing_is_logged_that_nobody_asked_for():
    assert server_log.settings({}, 17) == {}
    assert server_log.settings({"connections": False, "audit": "none"}, 17) == {}


@pytest.mark.parametrize("major, value", [(14, "on"), (17, "on"), (18, "authentication,authorization")])
def test_connections_in_the_words_of_the_version(major, value):
    found = server_log.settings({"connections": True, "audit": "none"}, major)
    assert found == {"log_connections": value, "log_disconnections": "on"}


def test_an_audit_loads_its_library_beside_the_statistics():
    declared = declare(options(logging=DDL), "sha256:server", "sha256:keeper")
    base = conf(declared, "10-base.conf")
    assert "shared_preload_libraries = 'pg_stat_statements,pgaudit'" in base
    assert "pgaudit.log = 'ddl, role'" in base


@pytest.mark.parametrize(
    "listed, wanted",
    [("pg_cron, pg_stat_statements", "pg_cron,pg_stat_statements,pgaudit"), ("pgaudit", "pgaudit"), ("", "pgaudit")],
)
def test_libraries_of_the_inventory_keep_the_audit(listed, wanted):
    values = server_log.of_inventory({"Shared_Preload_Libraries": listed}, DDL)
    assert values == {"Shared_Preload_Libraries": wanted}
    assert server_log.of_inventory({"shared_preload_libraries": listed}, {}) == {"shared_preload_libraries": listed}


class Engine:
    def __init__(self, listed, there=True):
        self.listed, self.there, self.commands = listed, there, []

    def __call__(self, argv, data=None, env=None, timeout=None):
        self.commands.append(argv)
        if argv[1] == "image":
            return Result(0, "[{}]") if self.there else Result(1, "", "No such image")
        return self.listed


def declared(**more):
    return declare(options(**more), "sha256:server", "sha256:keeper")


def test_an_image_without_the_library_is_refused_with_its_package():
    engine = Engine(Result(0, "pg_stat_statements.so\n"))
    with pytest.raises(PgkeepError, match=r"no library pgaudit.*postgresql-17-pgaudit"):
        server_log.refuse_missing(engine, declared(logging=DDL))
    assert engine.commands[1][:3] == ["docker", "run", "--rm"]


@pytest.mark.parametrize(
    "engine, more",
    [
        (Engine(Result(0, "pgaudit.so\n")), {"logging": DDL}),
        # In check mode, and where the image is built in a way that nobody knows.
        (Engine(Result(0, ""), there=False), {"logging": DDL}),
        (Engine(Result(2, "", "No such file")), {"logging": DDL}),
    ],
)
def test_an_image_that_has_it_or_cannot_be_asked_is_not_refused(engine, more):
    server_log.refuse_missing(engine, declared(**more))


def test_what_every_image_has_is_not_asked_for():
    engine = Engine(Result(0, ""))
    server_log.refuse_missing(engine, declared())
    assert engine.commands == []
