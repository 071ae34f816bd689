# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keeper and the command on a host call themselves is what the release is called."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.pgkeep.postgres.plugins.module_utils._version import VERSION


def test_the_library_has_the_version_of_the_collection() -> None:
    galaxy = yaml.safe_load((Path(__file__).parents[4] / "galaxy.yml").read_text())
    assert galaxy["version"] == VERSION
