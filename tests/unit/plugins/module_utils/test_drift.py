# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan, the machine and the server make findings of."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drift as drift
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drift_access as access
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drift_host as host
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drift_plan as planned
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drift_server as server
from ansible_collections.pgkeep.postgres.plugins.module_utils._container import HealthCheck
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._files import FileChange
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._plan import ContainerChange, Plan
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options, recorded_server

APP = Layout("app")
DECLARED = declare(options(settings={"work_mem": "4MB"}), recorded_server()["Image"], "sha256:keeper")
NOTHING = Plan((), (), (), (), None, None, None, (), (), False)
FLAGS = "LOGIN,NOSUPERUSER,NOCREATEDB"
PARAMS = {
    "name": "app",
    "deploy": {"instance": {"differences": []}},
    "host_command": {},
    "certificate_due": False,
    "accepted": [],
}


def file(ending):
    return next(each for each in DECLARED.files if each.path.endswith(ending))


def told(plan):
    found = planned.differences(DECLARED, plan)
    return {(each["area"], each["item"]): (each["declared"], each["actual"], each["restart"]) for each in found}


def test_a_plan_without_steps_is_no_difference():
    assert told(NOTHING) == {}


def test_settings_are_told_one_by_one_with_what_they_cost():
    edited = "work_mem = '4MB'\nrandom_page_cost = 9\nMax_Connections '20'  \n# port = 1\n"
    change = FileChange(file("90-user.conf"), edited, "content")
    found = told(replace(NOTHING, files=(change,), restart_settings=("max_connections",)))
    assert found == {
        ("settings", "random_page_cost"): ("not set", "9", "reload"),
        ("settings", "max_connections"): ("not set", "20", "restart"),
    }


def test_a_secret_file_is_told_and_not_shown():
    found = told(replace(NOTHING, files=(FileChange(file("client/pgpass"), "stolen-word", "content"),)))
    assert list(found.values()) == [("(hidden)", "(hidden, other content)", "none")]


def test_a_line_of_pg_hba_is_shown():
    hba = file("pg_hba.conf")
    found = told(replace(NOTHING, files=(FileChange(hba, hba.content + "host all all all trust\n", "content"),)))
    assert found["hba", hba.path] == ("without", "with host all all all trust", "reload")


def test_each_field_of_a_container_is_told():
    fields = {
        "memory_bytes": (2, 1),
        "environment": ({"PGDATA": "/x", "A": "1"}, {"PGDATA": "/y", "A": "1"}),
        "image": ("sha256:a", "sha256:b"),
        "ports": ([], ["127.0.0.1:1:5432"]),
    }
    found = told(replace(NOTHING, server=ContainerChange(DECLARED.server, "replace", fields)))
    assert found == {
        ("container", "app memory_bytes"): ("1", "2", "new container"),
        ("container", "app environment PGDATA"): ("/y", "/x", "new container"),
        ("image", "app"): ("sha256:b", "sha256:a", "new container"),
        ("container", "app ports"): ("127.0.0.1:1:5432", "none", "new container"),
    }


def test_a_setting_that_waits_for_a_restart_is_told_once():
    plan = replace(NOTHING, restart_settings=("max_connections",))
    assert told(plan) == {("settings", "max_connections"): ("in force", "waits for a restart", "restart")}


def inspected(spec, **more):
    container = recorded_server()
    environment = ["%s=%s" % pair for pair in spec.environment.items()]
    container["Config"].update(Env=["PATH=/bin", *environment])
    container["NetworkSettings"] = {"Networks": {spec.network: {}}}
    container["HostConfig"].update(more.pop("host", {}))
    container["Config"]["Env"] += more.pop("environment", [])
    container["NetworkSettings"]["Networks"].update(more.pop("networks", {}))
    return container


def of_container(container):
    image = {"Config": {"Env": ["PATH=/bin"]}}
    spec = replace(DECLARED.server, health=HealthCheck("true"))
    found = host._container(lambda argv, **_more: Result(0, json.dumps([image])), spec, container)
    return {each.item: (each.declared, each.actual) for each in found}


def test_a_container_as_it_was_made_has_no_findings():
    assert of_container(inspected(DECLARED.server)) == {}


def test_what_no_deploy_compares_of_a_container_is_told_without_values():
    container = inspected(
        DECLARED.server, environment=["PGPASSWORD=geheim"], networks={"bridge": {}}, host={"CpuShares": 2}
    )
    assert of_container(container) == {
        "app environment PGPASSWORD": ("not set", "set"),
        "app in bridge": ("not connected", "connected"),
        "app CpuShares": ("0", "2"),
    }


def test_timers_that_do_not_run_are_told():
    answers = {"is-enabled": "disabled", "is-active": "inactive"}
    found = list(host._timers(lambda argv, **_more: Result(1, answers[argv[1]]), {"/etc/systemd/system/a.timer": {}}))
    assert [(each.item, each.actual) for each in found] == [("a.timer", "disabled and inactive")]


def test_a_setting_of_alter_system_names_the_statement_that_undoes_it():
    found = server.by_hand(APP, "max_connections", "900", "35", "postmaster")
    assert (found.declared, found.actual, found.restart) == ("35", "900 by ALTER SYSTEM", "restart")
    assert """docker exec app psql -c 'alter system reset "max_connections"'""" in found.fix


@pytest.mark.parametrize(
    "role, database, item, statement",
    [
        ("app", "", "app: work_mem", 'alter role "app" reset "work_mem"'),
        ("", "shop", "shop: work_mem", 'alter database "shop" reset "work_mem"'),
        ("app", "shop", "app in shop: work_mem", 'alter role "app" in database "shop" reset "work_mem"'),
    ],
)
def test_a_setting_of_a_role_or_database_names_its_statement(role, database, item, statement):
    found = server.of_role(APP, role, database, "work_mem", "1GB")
    assert found.item == item
    assert statement in found.fix


def test_what_a_login_of_the_inventory_acts_as_is_declared():
    logins = [{"name": "app", "user": "app"}, {"name": "app_b", "user": "app"}]
    wanted = access.statements([], [], logins)
    assert server._same("app_b", "", "role", "app", next(each for each in wanted if "set role" in each))
    assert not any(server._same("app_b", "", "role", "postgres", each) for each in wanted)


@pytest.mark.parametrize(
    "row, actual",
    [
        (("verifier", -1, True, False, False, False, False, False), []),
        (("verifier", -1, True, True, False, True, False, False), ["SUPERUSER"]),
        (("other", 5, False, False, True, False, False, False), ["NOLOGIN", "CREATEDB", "5", "another password"]),
        ((None, -1, True, False, False, False, False, False), ["no password"]),
        (None, ["absent"]),
    ],
)
def test_a_role_is_compared_by_what_is_declared_of_it(row, actual):
    role = {"name": "app", "flags": FLAGS, "verifier": "verifier"}
    assert [each.actual for each in access.of_role(role, row)] == actual


def of_roles(monkeypatch, roles, members):
    """Findings about roles of an instance whose users read the database shop; members: (group, member)."""
    declared = {
        "databases": [{"name": "shop", "owner": "shop"}],
        "users": [{"name": "shop"}, {"name": "anna", "access": {"shop": "readonly"}}],
        "logins": [],
        "roles": [],
    }
    nothing = [False] * 5

    def answer(opened, query, values=()):
        if query == access._MEMBERS:
            return [pair for pair in members if pair[1] in values[0]]
        return [(name, password, -1, login, *nothing) for name, password, login in roles] * (query == access._ROLES)

    monkeypatch.setattr(access, "rows", answer)
    monkeypatch.setattr(access, "bring_about", lambda *words: {"access": {"statements": []}})
    wanted = access.statements(declared["databases"], declared["users"], [])
    return [each for each in access.findings(None, APP, declared, wanted) if each.area == "roles"]


def test_a_group_that_somebody_made_a_member_is_told(monkeypatch):
    roles = [("shop", "x", True), ("anna", "x", True), ("shop_readonly", None, False), ("postgres", None, True)]
    members = [("shop_readonly", "anna"), ("pg_execute_server_program", "shop_readonly")]
    found = of_roles(monkeypatch, roles, members)
    assert [each.item for each in found] == ["shop_readonly in pg_execute_server_program"]
    assert """'revoke "pg_execute_server_program" from "shop_readonly"'""" in found[0].fix


def test_a_password_of_the_superuser_is_told_and_not_shown(monkeypatch):
    found = of_roles(monkeypatch, [("postgres", "SCRAM-SHA-256$4096:salt", True)], [])
    assert [(each.item, each.declared, each.actual) for each in found] == [("postgres", "no password", "a password")]
    assert found[0].fix == """docker exec app psql -c 'alter role "postgres" password null'"""


def test_an_instance_that_was_never_deployed_is_a_finding(monkeypatch):
    monkeypatch.setattr(drift, "read_current", lambda layout: None)
    found = drift.compare(lambda *_words, **_more: Result(0, ""), PARAMS)["drift"]
    assert [each["area"] for each in found["findings"]] == ["release"]
    assert found["compared"] == ["plan"]


def test_a_server_that_does_not_answer_is_a_finding_and_the_rest_is_compared(monkeypatch):
    def down(layout, params):
        raise PgkeepError("PostgreSQL did not do what it was asked", "no such file")

    monkeypatch.setattr(drift, "read_current", lambda layout: {"name": "x"})
    monkeypatch.setattr(drift.host, "findings", lambda run, layout, release: [])
    monkeypatch.setattr(drift, "_of_server", down)
    params = {**PARAMS, "certificate_due": True, "host_command": {"changed": True}}
    found = drift.compare(lambda *_words, **_more: Result(0, ""), params)["drift"]
    assert [each["area"] for each in found["findings"]] == ["tls", "host command", "server"]
    assert found["compared"] == ["plan", "machine"]
