# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Molecule scenario as one test: `molecule test -s <name>` from the root."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

import pytest

SCENARIOS = sorted(path.parent.name for path in Path(__file__).parents[2].glob("molecule/*/molecule.yml"))


def test_there_are_scenarios() -> None:
    assert SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, run_logged: Callable[[str, Sequence[str]], None]) -> None:
    run_logged("molecule-" + scenario, ["molecule", "test", "-s", scenario])
