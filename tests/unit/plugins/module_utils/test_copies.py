# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which copies stand, which go, and what the actions refuse. Copies themselves run on the real engine."""

from __future__ import annotations

import os
from datetime import datetime, timezone

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _clone, _files
from ansible_collections.pgkeep.postgres.plugins.module_utils import _copies as copies
from ansible_collections.pgkeep.postgres.plugins.module_utils import _preview as previewing
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_choice as choosing
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_plan as planning
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._restore_actions import ACTIONS, act
from ansible_collections.pgkeep.postgres.plugins.modules import restore as module

from .restore_host import Host

RUNNING = {"State": {"Running": True, "Restarting": False}, "RestartCount": 0}
ENDED = {"State": {"Running": False, "Restarting": False}, "RestartCount": 0}
BEFORE = datetime(2026, 11, 21, 23, 0, 0, tzinfo=timezone.utc)
AFTER = datetime(2026, 11, 21, 23, 0, 1, tzinfo=timezone.utc)


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: True)
    monkeypatch.setattr(choosing, "query", lambda socket_dir, statement: [("0/86000000",)])
    # The real one gives files to root.
    monkeypatch.setattr(_files.os, "fchown", lambda *arguments: None)
    return Host(tmp_path, monkeypatch)


def request(**more):
    values = {"name": "app", "confirm": "app", "label": None, "time": None, "keep_previous": 1, "timeout_seconds": 60}
    return planning.Request(**{**values, **more})


def put(host, **more):
    """A preview of the last backup's end, whose container runs until 23:00:01."""
    home = host.layout.home + "/preview"
    os.makedirs(home)
    values = {
        "kind": "preview",
        "source": "app",
        "name": None,
        "container": "app-preview",
        "home": home,
        "target": {"kind": "time", "label": None, "moment": "2026-11-21T22:54:30Z", "value": None},
        "backup": host.info["backup_info"]["backups"][-1],
        "timeline": 16,
        "moment": "2026-11-21T22:54:30Z",
        "stamp": "20261121T225500.000000Z",
        "created_at": "2026-11-21T22:55:00Z",
        "expires_at": "2026-11-21T23:00:01Z",
    }
    copy = copies.Copy(**{**values, **more})
    copies.save(copy)
    beside = host.data.parent / ("data.preview-" + copy.stamp)
    beside.mkdir()
    host.found["container", "app-preview"] = RUNNING
    return copy, beside


def test_a_copy_stands_until_its_moment(host):
    copy, _beside = put(host)
    assert copies.load(copy.home) == copy
    assert copies.stands(host, copy, BEFORE)
    assert not copies.stands(host, copy, AFTER)
    host.found["container", "app-preview"] = ENDED
    assert not copies.stands(host, copy, BEFORE)


def test_what_stands_is_left_alone(host):
    copy, beside = put(host)
    assert copies.remove_expired(host, host.layout, BEFORE) == []
    assert beside.exists()
    assert copies.standing(host, host.layout, BEFORE) == [copy]


def test_what_is_over_goes_with_everything_but_the_data(host):
    copy, beside = put(host)
    (host.data.parent / "data.previous-20261121T220000.000000Z").mkdir()
    assert copies.remove_expired(host, host.layout, AFTER) == ["Removed the preview, whose time was over"]
    assert not beside.exists()
    assert not os.path.exists(copy.home)
    assert sorted(path.name for path in host.data.parent.iterdir()) == ["data", "data.previous-20261121T220000.000000Z"]
    assert copies.remove_expired(host, host.layout, AFTER) == []


def test_what_an_interrupted_preview_left_goes_too(host):
    beside = host.data.parent / "data.preview-20261121T225500.000000Z"
    beside.mkdir()
    assert copies.remove_expired(host, host.layout, BEFORE) != []
    assert not beside.exists()


def test_a_promotion_keeps_to_what_the_preview_was(host, monkeypatch):
    put(host, expires_at="2101-01-01T00:00:00Z")
    plan = previewing._plan_of(host, host.layout)
    assert (plan.choice.label, plan.choice.timeline, plan.timeline_before) == ("20261121-225358F", 16, 16)
    assert (str(plan.choice.target), plan.container) == ("2026-11-21T22:54:30Z", "app-preview")
    assert plan.directories.beside == str(host.data) + ".preview-20261121T225500.000000Z"
    told = act(host, request(action="promote"), check_mode=True)["restore"]
    assert told["lost"]["from"] == "2026-11-21T22:54:30Z"
    assert host.writing() == []


@pytest.mark.parametrize(
    "more,words",
    [
        ({"action": "promote"}, "There is no preview of app to promote. Why: none was made"),
        ({"action": "promote", "confirm": None}, "The promote of app is not confirmed"),
        ({"action": "preview"}, "There is no preview of the newest state of app"),
        ({"action": "clone", "into": "app"}, "there is a container app"),
    ],
)
def test_what_is_refused_before_anything_is_touched(host, more, words):
    with pytest.raises(PgkeepError, match=words):
        act(host, request(**more), check_mode=True)
    assert host.writing() == []


def test_a_clone_cannot_write_anything_of_its_source(host):
    plan = planning.make_plan(host, request(label="20261121-225358F"), role="clone")
    spec = _clone._spec(plan, Layout("look"), copies.Place("/home"))
    settings = dict(word.split("=", 1) for word in spec.command if "=" in word and word.startswith("archive"))
    assert settings["archive_mode"] == "off"
    assert "--archive-mode=off" in spec.environment["PGKEEP_RESTORE_ARGS"]
    assert (spec.network, spec.ports, spec.restart, spec.role) == ("none", (), "no", "clone")
    writable = [mount for mount in spec.mounts if not mount.endswith(":ro")]
    assert sorted(mount.split(":")[0] for mount in writable) == ["/home/run", "/home/spool", "/home/state", "look-data"]


def test_the_documented_actions_are_those_there_are():
    assert tuple(module.ACTIONS) == ACTIONS
