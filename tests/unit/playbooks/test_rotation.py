# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks of a rotation promise whatever the inventory says; the scenario pooler runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jinja2 import Environment

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"


def test_no_step_interrupts_the_server():
    plays = yaml.safe_load((PLAYBOOKS / "rotate_step.yml").read_text())
    roles = [role for play in plays for role in play["roles"] if role["role"] == "pgkeep.postgres.postgres_server"]
    assert [role["vars"]["postgres_server_restart"] for role in roles] == ["refuse"]


@pytest.mark.parametrize(
    ("variables", "expected"), [({}, True), ({"step": "rotate"}, True), ({"step": "finish"}, False)]
)
def test_a_check_ends_before_the_step_that_needs_the_one_before(variables, expected):
    switch = yaml.safe_load((PLAYBOOKS / "rotate_password.yml").read_text())[-1]
    assert switch["vars"]["postgres_rotation_step"] == "switch"
    holds = Environment().compile_expression(switch["when"])
    assert holds(ansible_check_mode=False, **variables) is expected
    assert holds(ansible_check_mode=True, **variables) is False
