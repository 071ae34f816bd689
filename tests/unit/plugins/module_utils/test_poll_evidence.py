# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_evidence as evidence
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result


def test_a_certificate_that_was_replaced_by_hand_is_seen_within_a_minute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    now, served = [1000.0], [{"days_left": 800.0, "not_after": "2029-01-01T00:00:00Z", "error": None}]
    monkeypatch.setattr(evidence, "certificate", lambda target, at: served[0])
    monkeypatch.setattr(evidence, "address_of", lambda keeper: "192.0.2.1")
    place = str(tmp_path)
    keeper = Keeper("app", lambda *words, **more: Result(1, "", ""), "", state=place, config=place, tool_config=place)
    found = evidence.Evidence(lambda: now[0])
    found.look(keeper)
    served[0] = {**served[0], "days_left": 9.0}
    now[0] += 59
    found.look(keeper)
    assert found.latest["certificate"]["days_left"] == 800
    now[0] += 2
    found.look(keeper)
    assert found.latest["certificate"]["days_left"] == 9
