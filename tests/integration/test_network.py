# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network that instances share, created by several deploys at the same moment on the real engine."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._network import ensure_network
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

NAME = "pgkeep-it-network"
DEPLOYS = 8


def networks() -> list[str]:
    """Ids of the networks of this name."""
    argv = ["docker", "network", "ls", "--quiet", "--filter", "name=^%s$" % NAME]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


@pytest.fixture(autouse=True)
def removed() -> Iterator[None]:
    yield
    for network in networks():
        subprocess.run(["docker", "network", "rm", network], check=True)


def test_instances_that_are_deployed_at_once_share_one_network(tmp_path, monkeypatch):
    monkeypatch.setattr(Layout, "home", property(lambda self: str(tmp_path / self.name)))
    layouts = [Layout("instance-%d" % number) for number in range(DEPLOYS)]
    with ThreadPoolExecutor(DEPLOYS) as pool:
        list(pool.map(lambda layout: ensure_network(run, layout, NAME), layouts))
    assert len(networks()) == 1
