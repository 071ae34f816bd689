# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a changed instance has to show before its release is committed. Private to the collection.

Each gate tells what it measured beside what it expected; the first one that fails takes the deploy back.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from dataclasses import asdict, dataclass
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence

from . import _docker as docker
from ._applications import logins, refused
from ._container import reachable
from ._declared import Declared
from ._errors import PgkeepError
from ._files import kept, read
from ._interrupt import Interrupted
from ._keeper import ask
from ._layout import MONITOR, Layout
from ._probe import Target, first_login, listens, response
from ._retry import retry
from ._run import Run
from ._sql import connection, driver, query, rows
from ._terms import Terms
from ._times import epoch_of

# How long a row may take to the repository, as for a restore point.
_ARCHIVE_SECONDS = 60

# A server on the same machine answers in a millisecond, a busy one in some more.
_PATIENCE_SECONDS = 0.1

# A container that came up has lived longer than this, or was never restarted.
_ALIVE_SECONDS = 5
_POLL_SECONDS = 0.5

_LEAVE_OUT = "correct the cause and run again; postgres_server_gates without %s deploys all the same"

_TABLE = (
    "create schema if not exists pgkeep;"
    " create table if not exists pgkeep.gate (id int primary key check (id = 1), token text not null);"
    " grant usage on schema pgkeep to %s; grant select, insert, update on pgkeep.gate to %s" % (MONITOR, MONITOR)
)
_WRITE = "insert into pgkeep.gate values (1, %s) on conflict (id) do update set token = excluded.token"
_READ = "select token from pgkeep.gate"


@dataclass(frozen=True)
class Gate:
    """passed is None where it was not tried; measured then says why."""

    gate: str
    passed: Optional[bool]
    measured: str
    expected: str


class GateError(PgkeepError):
    """A gate that did not pass, with its evidence for RV(error)."""

    def __init__(self, gate: Gate, instance: str) -> None:
        self.gate = gate
        super().__init__(
            "The gate %s of %s did not pass" % (gate.gate, instance),
            "measured: %s; expected: %s" % (gate.measured, gate.expected),
            _LEAVE_OUT % gate.gate,
        )

    def to_result(self) -> dict[str, object]:
        return {**super().to_result(), "gate": asdict(self.gate)}


def pass_gates(
    run: Run, declared: Declared, terms: Terms, able: Optional[Sequence[tuple[str, str]]] = None
) -> list[dict[str, Any]]:
    """Every gate of the terms, in order; returns their evidence. Raises GateError at the first that does not pass.

    able: (database, user) of the applications that could log in before the deploy, None where it touches no server.
    """
    passed = []
    with contextlib.closing(_Client(declared)) as client:
        for gate in _gates(run, declared, terms, client, able):
            if gate.passed is False:
                raise GateError(gate, declared.layout.name)
            passed.append(asdict(gate))
    return passed


def _gates(
    run: Run, declared: Declared, terms: Terms, client: _Client, able: Optional[Sequence[tuple[str, str]]]
) -> Iterator[Gate]:
    tries: Mapping[str, Callable[[], Gate]] = {
        "login": client.login,
        "applications": lambda: _applications(declared, able),
        "write": client.write,
        "archive": lambda: _archive(run, declared.layout),
        "health": lambda: _health(run, declared),
        "latency": lambda: client.latency(terms.latency_budget_ms),
    }
    return (tries[name]() for name in tries if name in terms.gates)


def _applications(declared: Declared, able: Optional[Sequence[tuple[str, str]]]) -> Gate:
    expected = "a login of each declared application that could log in before the deploy"
    if able is None:
        return Gate("applications", None, "not tried: the server was not touched", expected)
    layout = declared.layout
    path, ca_file = layout.client_dir + "/pgpass", layout.client_dir + "/ca.crt"
    targets = [logins(text, _address(declared), ca_file) for text in _before_and_declared(declared, path)]
    names = {(target.database, target.user) for target in targets[-1]}
    asked = [name for name in map(tuple, able) if name in names]
    if not asked:
        return Gate("applications", None, "not tried: none could log in from this host before", expected)
    told = refused(asked, itertools.chain.from_iterable(targets))
    return Gate("applications", not told, "; ".join(told) or "%d logged in" % len(asked), expected)


def _before_and_declared(declared: Declared, path: str) -> list[str]:
    """What stood in the file before this deploy, stands there now, is declared: a role gets its password after it."""
    wanted = next(file.content for file in declared.files if file.path == path)
    return [text for text in (read(kept(path)), read(path), wanted) if text]


def _address(declared: Declared) -> tuple[str, int]:
    address, port, _inside = declared.server.ports[0].rsplit(":", 2)
    return reachable(address), int(port)


def targets(declared: Declared, addresses: tuple[tuple[str, int], ...] = ()) -> list[Target]:
    """Where and as whom the health check's login is tried: at the declared address and at further ones, with the
    declared password and with those before."""
    layout = declared.layout
    passwords = [text.strip() for text in _before_and_declared(declared, layout.client_dir + "/monitor.password")]
    places = [*addresses, _address(declared)]
    return [
        Target(host, number, MONITOR, password, layout.client_dir + "/ca.crt")
        for host, number in dict.fromkeys(places)
        for password in dict.fromkeys(passwords)
    ]


def at_once(found: list[Target]) -> Any:
    """first_login() for somebody who tries again at once, and waits for no server that is not there."""
    there = [target for target in found if listens(target, _PATIENCE_SECONDS)]
    if not there:
        raise driver().OperationalError("nobody answers within %s s" % _PATIENCE_SECONDS)
    return first_login(there)


class _Client:
    """An application, on one connection: what it needs of the server and how long that takes."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._opened: Any = None
        self._times: dict[str, float] = {}

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _missing(self) -> bool:
        """Before the users were created, and nobody can log in as them."""
        found = query(self._declared.layout.socket_dir, "select 1 from pg_roles where rolname = %s", (MONITOR,))
        return not found

    def _timed(self, name: str, work: Callable[[], Any]) -> Any:
        began = time.monotonic()
        result = work()
        self._times[name] = round((time.monotonic() - began) * 1000, 1)
        return result

    def _try(self, gate: str, expected: str, work: Callable[[], str]) -> Gate:
        if self._opened is None and self._missing():
            return Gate(gate, None, "not tried: there is no role %s yet" % MONITOR, expected)
        try:
            if self._opened is None:
                self._opened = retry(self._log_in)
            measured = work()
        except driver().Error as error:
            return Gate(gate, False, " ".join(str(error).split()), expected)
        return Gate(gate, True, measured, expected)

    def _log_in(self) -> Any:
        return self._timed("login", lambda: first_login(targets(self._declared)))

    def login(self) -> Gate:
        expected = "a login as %s over TCP and TLS, certificate verified" % MONITOR
        return self._try("login", expected, lambda: "logged in within %s ms" % self._times["login"])

    def write(self) -> Gate:
        return self._try("write", "a row that is committed and read back", self._write_and_read)

    def _write_and_read(self) -> str:
        token = uuid.uuid4().hex
        layout = self._declared.layout
        with connection(layout.socket_dir) as opened:
            rows(opened, _TABLE)
            self._timed("write", lambda: rows(self._opened, _WRITE, (token,)))
            found = (rows(self._opened, _READ)[0][0], rows(opened, _READ)[0][0])
        if found != (token, token):
            raise driver().DataError("wrote %s, read %s and %s" % (token, *found))
        return "committed within %s ms and read back" % self._times["write"]

    def latency(self, budget_ms: int) -> Gate:
        expected = "at most %d ms each" % budget_ms
        gate = self._try("latency", expected, self._latency)
        over = gate.passed and any(value > budget_ms for value in self._times.values())
        return Gate(gate.gate, False, gate.measured, expected) if over else gate

    def _latency(self) -> str:
        self._times["SELECT 1"] = round(response(self._opened), 1)
        return ", ".join("%s %s ms" % pair for pair in self._times.items())


def _archive(run: Run, layout: Layout) -> Gate:
    expected = "a row that is in the repository within %d s" % _ARCHIVE_SECONDS
    try:
        found = ask(run, layout, ["canary", "--timeout", str(_ARCHIVE_SECONDS)])["canary"]
    except Interrupted:
        raise
    except PgkeepError as error:
        if has_archive(run, layout):
            return Gate("archive", False, "%s: %s" % (error.what, error.why), expected)
        return Gate("archive", None, "not tried: the repository was not made yet", expected)
    return Gate("archive", True, "archived within %s s" % found["archived_seconds"], expected)


def has_archive(run: Run, layout: Layout) -> bool:
    """Whether there is a repository that WAL can go to, as there is soon after the first start, and not any more when
    its volume was lost. A keeper that does not answer has one."""
    try:
        return bool(ask(run, layout, ["info", "--repo", "1"])["backup_info"]["status"] != "missing")
    except Interrupted:
        raise
    except PgkeepError:
        return True


def _health(run: Run, declared: Declared) -> Gate:
    """What the deploy is responsible for: all containers live, and the server's own health check succeeds. Disks,
    backups and the like are no fault of it."""
    expected = "all containers run and the server's health check succeeds"
    wrong = []
    for spec in (declared.server, declared.keeper, declared.pooler):
        state = _settled(run, spec.name) if spec is not None else ""
        wrong += ["%s %s" % (spec.name, state)] if spec is not None and state else []
    check = declared.server.health
    if check is not None and not wrong:
        tried = docker.execute(run, declared.server.name, ["sh", "-c", check.command], timeout=60)
        if tried.rc != 0:
            wrong.append("the health check ends with %d: %s" % (tried.rc, (tried.stderr or tried.stdout).strip()))
    return Gate("health", not wrong, "; ".join(wrong) or "all run, the check ends with 0", expected)


def _settled(
    run: Run,
    name: str,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """What is wrong with the container, after a while for one that was just restarted: a reboot restarts it too."""
    end = clock() + 2 * _ALIVE_SECONDS
    while True:
        container = docker.inspect(run, name)
        wrong = _state(container)
        if not wrong or container is None or not container["RestartCount"] or clock() > end:
            return wrong
        sleep(_POLL_SECONDS)


def _state(container: Optional[Mapping[str, Any]], now: Optional[float] = None) -> str:
    """What is wrong with the container, an empty text when nothing is."""
    if container is None:
        return "is not there"
    state = container["State"]
    if state["Restarting"] or not state["Running"]:
        return "does not run, exit code %d" % state["ExitCode"]
    if state.get("Paused"):
        return "is paused"
    age = (time.time() if now is None else now) - (epoch_of(state["StartedAt"]) or 0)
    if container["RestartCount"] and age < _ALIVE_SECONDS:
        return "was restarted %d times, the last time %.0f s ago" % (container["RestartCount"], age)
    return ""
