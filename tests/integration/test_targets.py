# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every target of tests/integration/targets, one per module, as one test. Those called setup_* are parts of others."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

import pytest

HERE = Path(__file__).parent
TARGETS = sorted(
    path.parents[1].name
    for path in HERE.glob("targets/*/tasks/main.yml")
    if not path.parents[1].name.startswith("setup_")
)


def test_there_are_targets() -> None:
    assert TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_target(target: str, run_logged: Callable[[str, Sequence[str]], None]) -> None:
    roles = "ANSIBLE_ROLES_PATH=%s" % (HERE / "targets")
    playbook = ["ansible-playbook", "-i", "localhost,", str(HERE / "target.yml"), "-e", "target=" + target]
    run_logged("target-" + target, ["env", roles, *playbook])
