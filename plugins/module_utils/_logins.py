# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two logins of a user whose password is changed without a gap. Pure. Private to the collection.

A role has one password at a time, so a client with the old one would fail from the moment of the change on. Therefore a
user has two login roles, its own and one of the name with _b behind it, which acts as the user in everything. They take
turns: the one that is not in use gets the new password, clients move over, and the other one ends at a time.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping, Sequence

from ._errors import PgkeepError
from ._passwords import weakness
from ._times import epoch_of, rfc3339

STEPS = ("begin", "switch", "finish", "undo")
_TWIN = "_b"
_LONGEST = 63


def logins(
    users: Sequence[Mapping[str, Any]], rotations: Iterable[Mapping[str, Any]], now: float
) -> list[dict[str, Any]]:
    """users with the two logins of each one that was ever rotated in its place, the one for clients first.

    rotations: what rotation() returned; now: epoch seconds. Logins have besides what their user has: user (its name),
    expires (a time for PostgreSQL), spare (clients shall use the other one) and ended (it cannot log in any more).
    Raises PgkeepError where the inventory gives a password, which would not be the one in force.
    """
    known = {rotation["user"]: rotation for rotation in rotations}
    names = {user["name"] for user in users}
    found: list[dict[str, Any]] = []
    for user in users:
        name, rotation = user["name"], known.get(user["name"])
        if rotation is None:
            found.append(dict(user))
            continue
        _refuse(user, names)
        current = {"name": rotation["current"], "user": name, "expires": "infinity", "spare": False, "ended": False}
        until, ended = rotation["until"] or "infinity", not _valid(rotation, now)
        other = {"name": rotation["other"], "user": name, "expires": until, "spare": True, "ended": ended}
        found += [{**user, **current}, {**user, **other}]
    return found


def rotation(
    name: str,
    users: Sequence[Mapping[str, Any]],
    rotations: Iterable[Mapping[str, Any]],
    step: str,
    overlap_hours: float,
    now: float,
    password: str = "",
    hba: Iterable[str] = (),
) -> dict[str, Any]:
    """How the user's logins stand after a step: user, current (the login of clients), other, until (its end, RFC 3339
    UTC; null for none) and renew (whether other has to get another password before anything else).

    begin lets the other login in, switch makes it that of clients, finish ends the other one now, undo goes back to it.
    overlap_hours: how long both work after a switch. password: the new one, only looked at; none to have one made.
    hba: lines of pg_hba.conf that the inventory gives. Raises PgkeepError for a step that is not possible.
    """
    user = next((user for user in users if user["name"] == name), None)
    if user is None:
        raise _impossible(name, "it is not in postgres_server_users", "correct user")
    if step not in STEPS:
        raise _impossible(name, "there is no step %s" % step, "use one of rotate, finish and undo")
    if not 0 <= overlap_hours <= 24 * 366:
        raise _impossible(name, "overlap_hours is %s" % overlap_hours, "give hours, at most those of a year")
    _refuse(user, {each["name"] for each in users})
    _refuse_password(password)
    if password and step in ("finish", "undo"):
        raise _impossible(name, "step=%s takes no new_password" % step, "leave it out, or rotate afterwards")
    if step == "begin":
        _refuse_lines(name, hba)
    found = next((rotation for rotation in rotations if rotation["user"] == name), None)
    if found is None or not _valid(found, now):
        if step != "begin":
            raise _impossible(name, "no other login of it is valid", "rotate it, which makes one")
        begun = {"user": name, "current": name, "other": name + _TWIN}
        return {**begun, **(found or {}), "until": None, "renew": True}
    stand = {**found, "renew": False}
    if step == "begin":
        if stand["until"] is None:
            return {**stand, "renew": bool(password)}
        raise _impossible(
            name,
            "the rotation before is not over: %s may log in until %s" % (stand["other"], stand["until"]),
            "wait for that, or end it with step=finish when nobody uses it",
        )
    if step == "finish":
        return {**stand, "until": rfc3339(now)}
    if step == "undo" and stand["until"] is None:
        raise _impossible(name, "clients do not use %s yet" % stand["other"], "give it up with step=finish")
    turned = {"current": stand["other"], "other": stand["current"]}
    return {**stand, **turned, "until": rfc3339(now + overlap_hours * 3600)}


def twins(login: str) -> tuple[str, ...]:
    """What the other login of the same user may be called."""
    return (login + _TWIN, login[: -len(_TWIN)]) if login.endswith(_TWIN) else (login + _TWIN,)


def _refuse_password(password: str) -> None:
    """What files and connection strings cannot carry. Never tells it."""
    why = weakness(password) if password else None
    if password != password.strip() or re.search(r"[\0\r\n]| salt=", password):
        why = "blanks around it, line breaks and the word salt= cannot be kept"
    if why:
        raise PgkeepError("The new password is refused", why, "give another one, or none to have one made")


def _refuse(user: Mapping[str, Any], names: Iterable[str]) -> None:
    name = user["name"]
    if user.get("password"):
        raise _impossible(
            name,
            "postgres_server_users gives its password, so a new one would not last",
            "move it into the file of that name with .password behind it in the secrets of the instance",
        )
    if name + _TWIN in names:
        raise _impossible(name, "%s is another user" % (name + _TWIN), "rename one of them")
    if len((name + _TWIN).encode()) > _LONGEST:
        raise _impossible(name, "%s has more than %d bytes" % (name + _TWIN, _LONGEST), "rename the user")


def _refuse_lines(name: str, hba: Iterable[str]) -> None:
    """Those that mean the user alone, of its two logins."""
    for line in hba:
        # Type, databases, users; a list goes on behind a comma and blanks.
        fields = re.findall(r'(?:"[^"]*"|,\s*|[^\s",])+', line.partition("#")[0])
        users = re.findall(r'"[^"]*"|[^\s",]+', fields[2]) if len(fields) > 2 else []
        if name in (user.strip('"') for user in users):
            raise _impossible(
                name,
                "the line '%s' of postgres_server_hba means only one of its two logins" % line,
                "write +%s there, which means whoever acts as it" % name,
            )


def _valid(rotation: Mapping[str, Any], now: float) -> bool:
    until = epoch_of(rotation["until"])
    return until is None or until > now


def _impossible(name: str, why: str, next_step: str) -> PgkeepError:
    return PgkeepError("The password of %s cannot be rotated" % ascii(name), why, next_step)
