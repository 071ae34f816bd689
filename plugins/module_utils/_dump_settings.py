# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory wants of dumps: the topic dumps of keeper.json. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Mapping

from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._keeper_config import secret, topic

TOPIC = "dumps"
PASSPHRASE = "dumps.passphrase"  # the name of a file, not a secret
# The key is derived from it in a way that is fast, so guessing has to be hopeless.
_PASSPHRASE_LENGTH = 20
_VARIABLE = "postgres_backup_dumps"


@dataclass(frozen=True)
class Settings:
    """databases: names, all when there are none. Old runs go after keep_days, but keep_min of each database stay."""

    databases: tuple[str, ...] = ()
    keep_days: float = 7
    keep_min: int = 2
    encrypt: bool = True
    deadline_seconds: float = 21600


def parse(instance: str, values: Mapping[str, Any]) -> Settings:
    unknown = sorted(set(values) - {field.name for field in fields(Settings)})
    if unknown:
        raise _refused(instance, "it does not know %s" % ", ".join(unknown))
    databases = values.get("databases", ())
    if not isinstance(databases, (list, tuple)) or not all(isinstance(name, str) and name for name in databases):
        raise _refused(instance, "databases is not a list of names")
    numbers = {"keep_days": 0, "keep_min": 1, "deadline_seconds": 1}
    for name, least in numbers.items():
        value = values.get(name, least)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
            raise _refused(instance, "%s is %r and not a number from %d on" % (name, value, least))
    if not isinstance(values.get("encrypt", True), bool):
        raise _refused(instance, "encrypt is neither true nor false")
    return Settings(**{**values, "databases": tuple(databases)})


def _refused(instance: str, why: str) -> PgkeepError:
    return PgkeepError("The settings for the dumps of %s cannot be used" % instance, why, "correct %s" % _VARIABLE)


def load(keeper: Keeper) -> Settings:
    return parse(keeper.instance, topic(keeper, TOPIC))


def check(keeper: Keeper) -> None:
    if load(keeper).encrypt and topic(keeper, TOPIC):
        require_passphrase(keeper)


def require_passphrase(keeper: Keeper) -> None:
    """Before anything is touched: openssl would take an empty file for an empty passphrase."""
    if len(secret(keeper, PASSPHRASE).split("\n")[0]) < _PASSPHRASE_LENGTH:
        raise _refused(
            keeper.instance, "the passphrase for encrypting them has less than %d characters" % _PASSPHRASE_LENGTH
        )


def encryption(keeper: Keeper, *, decrypt: bool = False) -> list[str]:
    """The command that encrypts, or decrypts, from its input to its output. The passphrase is in a file only."""
    words = ["openssl", "enc", "-d"] if decrypt else ["openssl", "enc"]
    return [*words, *CIPHER, "-pass", "file:%s/%s" % (keeper.config, PASSPHRASE)]


# Every option that has a default is given: a dump is read by another version, years later, on another machine.
CIPHER = ("-aes-256-cbc", "-salt", "-pbkdf2", "-md", "sha256", "-iter", "10000")
