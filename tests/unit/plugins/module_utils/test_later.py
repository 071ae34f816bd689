# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an inventory is deployed while its maintenance window is shut, and what waits for it."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _later as later
from ansible_collections.pgkeep.postgres.plugins.module_utils import _plan as planning
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options as plain
from .instance_options import pooler, recorded_server

IMAGES = (recorded_server()["Image"], "sha256:keeper")
NOON = datetime(2026, 1, 4, 12, tzinfo=timezone.utc)
TUNED = {"max_connections": "35", "work_mem": "4MB"}
GREATER = {"max_connections": "70", "work_mem": "8MB"}


def options(**more):
    return plain(**{"restart": "window", "restart_window": "Sun 02:00-04:00", "tuned": TUNED, **more})


class Host:
    """The server of the recorded container, deployed with settings of its own, as its release says."""

    def __init__(self, monkeypatch, **more):
        self.before = declare(options(**more), *IMAGES, *(["sha256:pooler"] if more.get("pooler") else []))
        self.containers = {"app": recorded_server()}
        files = {file.path: {"content": file.content} for file in self.before.files}
        self.release = {"major": 17, "server": self.before.server.to_dict(), "pooler": None, "files": files}
        monkeypatch.setattr(later, "read_current", lambda layout: self.release)
        monkeypatch.setattr(later, "accepts_writes", lambda layout: True)
        monkeypatch.setattr(later, "query", lambda folder, statement: [("max_connections",), ("shared_buffers",)])

    def __call__(self, argv, data=None, env=None, timeout=None):
        if argv[1:3] == ["container", "inspect"] and argv[3] in self.containers:
            return Result(0, json.dumps([self.containers[argv[3]]]))
        if argv[1:3] == ["volume", "ls"]:
            return Result(0)
        return Result(1, "", "Error: No such object: %s" % argv[-1])


def content(declared, name):
    return next(file.content for file in declared.files if file.path.endswith("/" + name))


@pytest.mark.parametrize("restart, allowed", [("allowed", True), ("refuse", False)])
def test_without_a_window_nothing_is_held_back(restart, allowed, monkeypatch):
    host = Host(monkeypatch)
    wanted = options(restart=restart, restart_window="", memory_bytes=2 << 30)
    assert later.declare_for_now(host, wanted, IMAGES, NOON) == (declare(wanted, *IMAGES), allowed)


def test_within_the_window_everything_is_applied(monkeypatch):
    host = Host(monkeypatch)
    wanted = options(memory_bytes=2 << 30)
    now = NOON.replace(hour=3)
    assert later.declare_for_now(host, wanted, IMAGES, now) == (declare(wanted, *IMAGES), True)


def test_a_new_container_waits_with_what_was_made_for_it(monkeypatch):
    host = Host(monkeypatch, settings={"shared_buffers": "256MB", "application_name": "it's"})
    wanted = options(
        memory_bytes=2 << 30,
        port=6000,
        tuned=GREATER,
        settings={"shared_buffers": "512MB", "application_name": "it's", "work_mem": "5MB"},
        hba=["hostssl app app 192.0.2.0/24 scram-sha-256"],
        retention_days=9,
    )
    held, allowed = later.declare_for_now(host, wanted, IMAGES, NOON)
    assert not allowed
    assert held.server == host.before.server
    # What a start by itself would find fits the old container, and clients find the port that is published.
    assert content(held, "20-tuned.conf") == content(host.before, "20-tuned.conf")
    assert content(held, "pg_service.conf") == content(host.before, "pg_service.conf")
    assert "shared_buffers = '256MB'" in content(held, "90-user.conf")
    # A reload brings the rest.
    assert "work_mem = '5MB'" in content(held, "90-user.conf")
    assert "application_name = 'it''s'" in content(held, "90-user.conf")
    assert "192.0.2.0/24" in content(held, "pg_hba.conf")
    assert held.later.opens_at == "2026-01-11T02:00:00Z"
    assert set(held.later.containers["app"]) == {"memory_bytes", "memory_swap_bytes", "ports"}
    assert held.later.settings == ("max_connections", "shared_buffers")


def test_a_setting_waits_in_its_file_and_not_for_a_container(monkeypatch):
    host = Host(monkeypatch)
    wanted = options(settings={"shared_buffers": "300MB"})
    held, allowed = later.declare_for_now(host, wanted, IMAGES, NOON)
    assert not allowed
    assert held.files == declare(wanted, *IMAGES).files
    assert (dict(held.later.containers), held.later.settings) == ({}, ())


def test_a_pooler_waits_alone(monkeypatch):
    settings = {"max_connections": 100}
    host = Host(monkeypatch, pooler=pooler(), settings=settings)
    host.release["pooler"] = host.before.pooler.to_dict()
    same = {spec.name: spec for spec in (host.before.server, host.before.pooler)}
    host.containers["app-pooler"] = {**recorded_server(), "Name": "/app-pooler"}
    monkeypatch.setattr(later, "differences", lambda spec, found: {} if spec == same[spec.name] else {"ports": (1, 2)})
    wanted = options(pooler=pooler(port=7000), settings={**settings, "work_mem": "5MB"})
    held, _allowed = later.declare_for_now(host, wanted, (*IMAGES, "sha256:pooler"), NOON)
    assert held.pooler == host.before.pooler
    assert "port=6432" in content(held, "pg_service.conf")
    assert "7000" not in content(held, "pg_service.conf")
    assert "work_mem = '5MB'" in content(held, "90-user.conf")
    assert list(held.later.containers) == ["app-pooler"]


@pytest.mark.parametrize("why", ["drift", "major", "no release"])
def test_what_cannot_be_kept_as_it_is_is_refused_until_the_window(why, monkeypatch):
    host = Host(monkeypatch)
    wanted = options(memory_bytes=2 << 30)
    if why == "drift":
        host.containers["app"]["HostConfig"]["NanoCpus"] //= 2
    if why == "major":
        host.release["major"] = 16
    if why == "no release":
        host.release = None
    declared, allowed = later.declare_for_now(host, wanted, IMAGES, NOON)
    assert declared.server.memory_bytes == 2 << 30
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: True)
    for name in ("refuse_impossible", "find_crossing"):
        monkeypatch.setattr(planning, name, lambda *arguments: None)
    with pytest.raises(PgkeepError, match="wait for the maintenance window, which opens at 2026-01-11T02:00:00Z"):
        planning.make_plan(host, declared, allowed)


def test_a_server_that_does_not_serve_is_not_waited_for(monkeypatch):
    host = Host(monkeypatch)
    host.containers["app"]["State"].update(Restarting=True)
    monkeypatch.setattr(later, "accepts_writes", lambda layout: False)
    declared, allowed = later.declare_for_now(host, options(memory_bytes=2 << 30), IMAGES, NOON)
    for name in ("refuse_impossible", "find_crossing"):
        monkeypatch.setattr(planning, name, lambda *arguments: None)
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: False)
    assert planning.make_plan(host, declared, allowed).server.action == "replace"


def test_what_waits_is_told_like_the_plan(monkeypatch):
    host = Host(monkeypatch)
    held, allowed = later.declare_for_now(host, options(memory_bytes=2 << 30, tuned=GREATER), IMAGES, NOON)
    for name in ("refuse_impossible", "find_crossing"):
        monkeypatch.setattr(planning, name, lambda *arguments: None)
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: True)
    monkeypatch.setattr(planning, "_needing_restart", lambda layout, names: ("wal_buffers",))
    monkeypatch.setattr(planning, "_reload_due", lambda declared, changed: False)
    plan = planning.make_plan(host, held, allowed)
    assert plan.server is None
    assert not plan.restart_settings
    assert [(step["action"], step["target"], step["reason"]) for step in plan.waiting()] == [
        (
            "replace",
            "container app",
            "memory_bytes: 1073741824 -> 2147483648; memory_swap_bytes: 1073741824 -> 2147483648",
        ),
        ("restart", "server", "settings max_connections, wal_buffers, work_mem"),
    ]


@pytest.mark.parametrize("window, why", [("", "none is declared"), ("Sunday", "it is not .days.")])
def test_a_window_must_be_declared(window, why, monkeypatch):
    with pytest.raises(PgkeepError, match=why):
        later.declare_for_now(Host(monkeypatch), options(restart_window=window), IMAGES, NOON)
