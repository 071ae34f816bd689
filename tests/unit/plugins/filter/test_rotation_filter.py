# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one of the two filters returns the other one takes, on the clock of this machine."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.filter.logins import FilterModule as Logins
from ansible_collections.pgkeep.postgres.plugins.filter.rotation import FilterModule as Rotation

LOGINS = Logins().filters()["logins"]
ROTATION = Rotation().filters()["rotation"]
USERS = [{"name": "app"}]


def test_a_rotation_from_step_to_step() -> None:
    begun = ROTATION("app", USERS, [], "begin")
    # As the command line gives a number.
    switched = ROTATION("app", USERS, [begun], "switch", "0.5")
    assert [(each["name"], each["ended"]) for each in LOGINS(USERS, [switched])] == [("app_b", False), ("app", False)]
    finished = ROTATION("app", USERS, [switched], "finish")
    assert [(each["name"], each["ended"]) for each in LOGINS(USERS, [finished])] == [("app_b", False), ("app", True)]


def test_an_error_of_the_library_is_one_message_without_the_password() -> None:
    with pytest.raises(AnsibleFilterError, match=r"The new password is refused\. Why: .* Next: ") as caught:
        ROTATION("app", USERS, [], "begin", 24, "short-word")
    assert "short-word" not in str(caught.value)
    with pytest.raises(AnsibleFilterError, match="gives its password"):
        LOGINS([{"name": "app", "password": "word"}], [{"user": "app"}])
