# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says the keeper shall do, as the keeper reads it. Private to the collection.

keeper.json is written by the module instance: one object with a key for each topic (schedule, alerts, …). Every topic
has a file of its own that reads its key and nothing else. Secrets lie beside it, one file each.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._files import read

FILE = "keeper.json"

# Options of the module instance that the topic http is made of.
HTTP: dict[str, dict[str, Any]] = {
    "port": {"type": "int", "required": True},
    "bind_address": {"type": "str", "default": "127.0.0.1"},
    "token": {"type": "str", "required": True, "no_log": True},
    "environment": {"type": "str", "choices": ["production", "development"], "default": "production"},
    "interval_seconds": {"type": "int", "default": 5},
}


def load(keeper: Keeper) -> Mapping[str, Any]:
    """All topics; none where the instance was deployed before there were any."""
    path = "%s/%s" % (keeper.config, FILE)
    text = read(path)
    if text is None:
        return {}
    try:
        content = json.loads(text)
    except ValueError as error:
        raise PgkeepError(
            "The keeper of %s does not know what to do" % keeper.instance,
            "%s: %s" % (path, error),
            "run the playbook deploy.yml, which writes it",
        ) from error
    return dict(content)


def topic(keeper: Keeper, name: str) -> Mapping[str, Any]:
    """One topic; empty when the inventory says nothing about it."""
    return dict(load(keeper).get(name) or {})


def secret(keeper: Keeper, name: str) -> str:
    """The content of the secret file name, without the line end."""
    path = "%s/%s" % (keeper.config, name)
    text = read(path)
    if text is None:
        raise PgkeepError(
            "The keeper of %s misses a secret" % keeper.instance,
            "%s is not there" % path,
            "run the playbook deploy.yml, which writes it",
        )
    return text.rstrip("\n")
