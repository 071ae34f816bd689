# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._container import (
    HealthCheck,
    create_argv,
    differences,
    spec_from_dict,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare

from .instance_options import options, recorded_server


@pytest.fixture
def spec():
    return declare(options(), recorded_server()["Image"], "sha256:keeper").server


def test_a_container_made_from_the_spec_does_not_differ(spec):
    assert differences(spec, recorded_server()) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", "sha256:other"),
        ("command", ("other",)),
        ("memory_bytes", 2 << 30),
        ("cpus", 0.5),
        ("pids_limit", 99),
        ("shm_bytes", 1 << 30),
        ("network", "other"),
        ("ports", ("127.0.0.1:5433:5432",)),
        ("mounts", ("other:/var/lib/postgresql",)),
        ("restart", "no"),
        ("stop_signal", "SIGTERM"),
        ("stop_timeout_seconds", 10),
        ("health", None),
        ("health", HealthCheck("true")),
        ("log_options", {"max-size": "1m"}),
        ("environment", {"PGDATA": "/elsewhere"}),
    ],
)
def test_every_field_that_differs_is_named(spec, field, value):
    names = differences(replace(spec, **{field: value}), recorded_server())
    expected = {"log_options": "log"}.get(field, field)
    assert expected in names
    assert set(names) <= {expected, "memory_swap_bytes"}


@pytest.mark.parametrize(
    ("section", "key", "value", "name"),
    [
        ("HostConfig", "Privileged", True, "privileged"),
        ("HostConfig", "CapAdd", ["SYS_ADMIN"], "capabilities_added"),
        ("HostConfig", "CapDrop", None, "capabilities_dropped"),
        ("HostConfig", "SecurityOpt", None, "no_new_privileges"),
        ("HostConfig", "ReadonlyRootfs", False, "read_only"),
        ("HostConfig", "MemorySwap", -1, "memory_swap_bytes"),
        ("Config", "User", "root", "user"),
    ],
)
def test_hardening_taken_away_behind_our_back_is_seen(spec, section, key, value, name):
    container = recorded_server()
    container[section][key] = value
    assert list(differences(spec, container)) == [name]


def test_what_the_image_adds_is_no_difference(spec):
    container = recorded_server()
    container["Config"]["Env"].append("FROM_IMAGE=1")
    container["Config"]["Labels"]["org.opencontainers.image.title"] = "x"
    assert differences(spec, container) == {}


def test_a_spec_survives_json(spec):
    assert spec_from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_no_secret_is_in_the_arguments(spec):
    argv = " ".join(create_argv(spec))
    assert "secret" not in argv
    assert argv.endswith("%s server" % spec.image)
    assert "--privileged" not in argv


def test_the_keeper_cannot_write_data_and_has_no_network():
    keeper = declare(options(), "sha256:server", "sha256:keeper").keeper
    assert "app-data:/var/lib/postgresql:ro" in keeper.mounts
    assert keeper.network == "none"
    assert not [mount for mount in keeper.mounts if "docker.sock" in mount]
