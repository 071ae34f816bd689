# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine, spoken to through its command line. Private to the collection."""

from __future__ import annotations

import json
from typing import Any, Collection, Mapping, Optional, Sequence

from ._errors import PgkeepError
from ._layout import GID, LABEL_INSTANCE, LABEL_ROLE, UID
from ._run import Result, Run

USER = "%d:%d" % (UID, GID)

# The client's own words about its socket. Less of them would also match what a command in a container says.
_UNREACHABLE = (
    "Cannot connect to the Docker daemon",
    "error during connect",
    "permission denied while trying to connect",
)
_NEXT_ENGINE = "start the engine (systemctl start docker) and read its log, then repeat"


def docker(
    run: Run, argv: Sequence[str], *, what: str = "", data: Optional[str] = None, timeout: Optional[float] = None
) -> str:
    """Run docker with argv and return its standard output; what names the failed action in the error."""
    result = attempt(run, argv, data=data, timeout=timeout)
    if result.rc != 0:
        raise PgkeepError(what or "docker %s failed" % argv[0], _last_words(result))
    return result.stdout


def attempt(run: Run, argv: Sequence[str], *, data: Optional[str] = None, timeout: Optional[float] = None) -> Result:
    """As docker(), but a failure of the command is returned; only an unreachable engine raises."""
    result: Result = run(["docker", *argv], data=data, timeout=timeout)
    if result.rc != 0 and any(words in result.stderr for words in _UNREACHABLE):
        raise PgkeepError("The Docker engine does not answer", _last_words(result), _NEXT_ENGINE)
    return result


def _last_words(result: Result) -> str:
    lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
    return " ".join(lines[-3:]) or "exit code %d and no message" % result.rc


def engine(run: Run) -> dict[str, Any]:
    """What docker info says, as a mapping."""
    info: dict[str, Any] = json.loads(
        docker(run, ["info", "--format", "{{json .}}"], what="The Docker engine gives no information")
    )
    errors = info.get("ServerErrors")
    if errors:
        raise PgkeepError("The Docker engine does not answer", " ".join(errors), _NEXT_ENGINE)
    return info


def inspect(run: Run, name: str) -> Optional[dict[str, Any]]:
    """The engine's description of the container, None when there is none of that name."""
    return _inspect(run, "container", name)


def volume(run: Run, name: str) -> Optional[dict[str, Any]]:
    return _inspect(run, "volume", name)


def image(run: Run, reference: str) -> Optional[dict[str, Any]]:
    return _inspect(run, "image", reference)


def network(run: Run, name: str) -> Optional[dict[str, Any]]:
    return _inspect(run, "network", name)


def _inspect(run: Run, kind: str, name: str) -> Optional[dict[str, Any]]:
    result = attempt(run, [kind, "inspect", name])
    if result.rc != 0:
        if "no such" in result.stderr.lower() or "not found" in result.stderr.lower():
            return None
        raise PgkeepError("The %s %s cannot be inspected" % (kind, name), _last_words(result))
    found: dict[str, Any] = json.loads(result.stdout)[0]
    return found


def running(container: Optional[Mapping[str, Any]]) -> bool:
    """Whether what inspect() returned is a container whose process is alive and not in a restart pause."""
    if container is None:
        return False
    state = container["State"]
    return bool(state["Running"]) and not state["Restarting"]


def execute(
    run: Run,
    container: str,
    argv: Sequence[str],
    *,
    user: str = USER,
    data: Optional[str] = None,
    timeout: Optional[float] = None,
) -> Result:
    """docker exec; the exit code is the command's. data reaches its standard input."""
    # Without --interactive the engine drops standard input and the command silently reads nothing.
    flags = ["--interactive"] if data is not None else []
    return attempt(run, ["exec", *flags, "--user", user, container, *argv], data=data, timeout=timeout)


def logs_tail(run: Run, name: str, lines: int = 15) -> str:
    """The last lines of the container's log, standard output and error together."""
    result = attempt(run, ["logs", "--tail", str(lines), name])
    return (result.stdout + result.stderr).strip()


def stop(run: Run, name: str) -> None:
    """Stop with the container's own signal and patience."""
    docker(run, ["stop", name], what="The container %s could not be stopped" % name)


def start(run: Run, name: str) -> None:
    """Start a container that does not run now.

    One that its restart policy keeps trying is stopped first: docker start would leave it in the pause before its next
    try, which grows to a minute and looks like one more failure when it ends.
    """
    container = inspect(run, name)
    if container is not None and container["State"]["Restarting"]:
        stop(run, name)
    docker(run, ["start", name], what="The container %s could not be started" % name)


def rename(run: Run, old: str, new: str) -> None:
    docker(run, ["rename", old, new], what="The container %s could not be renamed to %s" % (old, new))


def remove(run: Run, name: str) -> None:
    """Remove the container, running or not; its named volumes stay. Nothing happens when there is none."""
    result = attempt(run, ["rm", "--force", name])
    if result.rc != 0 and "no such" not in result.stderr.lower():
        raise PgkeepError("The container %s could not be removed" % name, _last_words(result))


def create_volume(run: Run, name: str, instance: str, role: str) -> None:
    docker(
        run,
        [
            "volume",
            "create",
            "--label",
            "%s=%s" % (LABEL_INSTANCE, instance),
            "--label",
            "%s=%s" % (LABEL_ROLE, role),
            name,
        ],
        what="The volume %s could not be created" % name,
    )


def remove_volume(run: Run, name: str) -> None:
    """For volumes of drills and clones only: nothing else of ours is ever removed."""
    docker(run, ["volume", "rm", name], what="The volume %s could not be removed" % name)


def labelled(run: Run, kind: str, instance: str, *roles: str) -> list[str]:
    """Names of the containers or volumes (kind) that carry our labels of the instance and of one of roles."""
    column, argv = ("{{.Names}}", ["ps", "--all"]) if kind == "container" else ("{{.Name}}", ["volume", "ls"])
    words = [
        "--filter",
        "label=%s=%s" % (LABEL_INSTANCE, instance),
        "--format",
        '{{.Label "%s"}} %s' % (LABEL_ROLE, column),
    ]
    found = [line.partition(" ") for line in docker(run, [*argv, *words]).splitlines()]
    return [name for role, _space, name in found if role in roles]


def volumes(run: Run, names: Collection[str]) -> set[str]:
    """Those of names that are there; asked at once, since each question costs a start of the client."""
    result = attempt(run, ["volume", "ls", "--format", "{{.Name}}"])
    if result.rc != 0:
        raise PgkeepError("The volumes cannot be listed", _last_words(result))
    return {*result.stdout.split()} & {*names}
