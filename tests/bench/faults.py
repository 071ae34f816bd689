# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds from a real fault until the keeper says it, until its alert fires and until somebody has been told.

Prometheus and Alertmanager have the times that everybody gets who sets none. A fault is lifted as soon as its alert was
delivered; the next ones begin when the alert has ended. Those that do not concern each other are there side by side.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Optional

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from ..watch import told, until
from . import watched
from .tools import fact, sh, until_writes
from .watched import CONFIG, KEEPER, NAME, REPOSITORY_MB, TOO_OLD, TOO_OLD_SECONDS, Lab

# Whatever for asks: a scrape, an evaluation, Alertmanager's patience and a slow machine.
_PATIENCE_SECONDS = 240.0
_LOOK_SECONDS = 0.25
# Of Alertmanager, before it tells what is new in a group that it told already; and some for a slow machine.
_INTERVAL_SECONDS = 330.0
_CERTIFICATE_DAYS = 10

Snapshot = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """breaks makes it for the time of its block and gives the moment of the monotonic clock that seconds count from.

    says: whether a snapshot tells it, beside the one before the fault. rule: the alert that is for it. lasting: it
    looks back so far that nobody waits for its end.
    """

    what: str
    breaks: Callable[[Lab], AbstractContextManager[float]]
    says: Callable[[Snapshot, Snapshot], bool]
    rule: str
    lasting: bool = False


@dataclass(frozen=True)
class Seen:
    """Seconds from the fault until the keeper said it, the alert fired and the webhook had it; None if it never did."""

    keeper: Optional[float]
    alert: Optional[float]
    webhook: Optional[float]


def _check(snapshot: Snapshot, name: str) -> Mapping[str, Any]:
    return next(each for each in snapshot["checks"] if each["id"] == name)


def _reason(name: str) -> Callable[[Snapshot, Snapshot], bool]:
    return lambda _before, now: any(each.startswith(name + ":") for each in now["reasons"])


def _psql(statement: str, check: bool = True) -> None:
    sh("docker", "exec", NAME, "psql", "-XAtqc", statement, "postgres", check=check)


def _files(*argv: str) -> None:
    """A command in the repository, as its owner."""
    sh("docker", "exec", "--user", "999:999", KEEPER, *argv)


@contextlib.contextmanager
def _killed(_lab: Lab) -> Iterator[float]:
    """To Docker it is stopped by somebody then, so that it stays down."""
    at = time.monotonic()
    sh("docker", "kill", "--signal", "KILL", NAME)
    try:
        yield at
    finally:
        sh("docker", "start", NAME)
        until_writes(NAME)


@contextlib.contextmanager
def _paused(_lab: Lab) -> Iterator[float]:
    at = time.monotonic()
    sh("docker", "pause", NAME)
    try:
        yield at
    finally:
        sh("docker", "unpause", NAME)


@contextlib.contextmanager
def _out_of_memory(_lab: Lab) -> Iterator[float]:
    """One session wants four times of what the container may have; counted from its end."""
    _psql("select cardinality(array_agg(repeat(md5(g::text), 31250))) from generate_series(1, 2000) g", check=False)
    yield time.monotonic()


@contextlib.contextmanager
def _disk_filled(_lab: Lab) -> Iterator[float]:
    volume = sh("docker", "volume", "inspect", "--format", "{{.Mountpoint}}", f"{NAME}-repo").strip()
    filler = Path(volume, "filler")
    try:
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, REPOSITORY_MB * 9 // 10 << 20)
        yield time.monotonic()
    finally:
        filler.unlink(missing_ok=True)


@contextlib.contextmanager
def _archive_stuck(lab: Lab) -> Iterator[float]:
    """The archiver may not write into the archive any more."""
    archive = f"/var/lib/pgbackrest/archive/{NAME}"
    switch = "select pg_logical_emit_message(true, 'bench', 'the next segment'), pg_switch_wal()"
    _files("chmod", "-R", "a-w", archive)
    try:
        _psql(switch)
        yield time.monotonic()
    finally:
        _files("chmod", "-R", "u+w", archive)
        # It tries again with the next segment.
        _psql(switch)


@contextlib.contextmanager
def _backup_too_old(lab: Lab) -> Iterator[float]:
    """Nothing but time; counted from the moment when the newest backup has the age of the rule."""
    newest = until("a backup", lambda: (lab.snapshot() or {"backup": {"newest": None}})["backup"]["newest"])
    left = TOO_OLD_SECONDS - (time.time() - datetime.fromisoformat(newest["stopped_at"]).timestamp())
    at = time.monotonic() + left
    lab.ended.wait(max(left, 0))
    yield at
    # Another fault may still keep WAL from the archive, without which there is no backup.
    _wait(lab, lambda: (found := lab.snapshot()) and found["archiver"]["failing_since"] is None, 600)
    watched.keeper("backup", "--type", "full")


@contextlib.contextmanager
def _drill_failed(_lab: Lab) -> Iterator[float]:
    """The data of the newest backup are not where they were; counted from the end of the drill."""
    newest = json.loads(watched.keeper("info"))["backup_info"]["backups"][-1]["label"]
    data = f"/var/lib/pgbackrest/backup/{NAME}/{newest}/bundle"
    _files("mv", data, data + "-away")
    try:
        watched.keeper("job", "drill", check=False)
        yield time.monotonic()
    finally:
        _files("mv", data + "-away", data)
        watched.keeper("job", "drill")


@contextlib.contextmanager
def _connections_used_up(lab: Lab) -> Iterator[float]:
    """Sessions of an application, as many as it gets."""
    import psycopg2

    words = {
        "host": NAME,
        "hostaddr": "127.0.0.1",
        "port": watched.PORT,
        "user": "app",
        "dbname": "app",
        "password": lab.password("app"),
        "sslmode": "verify-full",
        "sslrootcert": str(CONFIG / "client/ca.crt"),
    }
    held = []
    try:
        with contextlib.suppress(psycopg2.OperationalError):
            while True:
                held.append(psycopg2.connect(**words))
        assert held, "an application is not let in"
        yield time.monotonic()
    finally:
        for each in held:
            each.close()


@contextlib.contextmanager
def _certificate_ends(lab: Lab) -> Iterator[float]:
    """The server gets a real certificate of the same authority, which ends soon; no deploy brings it."""
    served = CONFIG / "server/tls/server.crt"
    former = served.read_bytes()
    authority = lab.folder / ".secrets/ca"
    short = ending_soon(former, (authority / "ca.crt").read_bytes(), (authority / "ca.key").read_bytes())
    try:
        # In place: owner and mode stay.
        served.write_bytes(short)
        _psql("select pg_reload_conf()")
        yield time.monotonic()
    finally:
        served.write_bytes(former)
        _psql("select pg_reload_conf()")


def ending_soon(certificate: bytes, authority: bytes, key: bytes) -> bytes:
    """The PEM certificate for the same key and names, signed by the PEM authority for a few days from now."""
    former, signer = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificate(authority)
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(former.subject)
        .issuer_name(signer.subject)
        .public_key(former.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_CERTIFICATE_DAYS))
    )
    for extension in former.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    private: Any = serialization.load_pem_private_key(key, None)
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


# One after the other; those in one line are there at the same time.
FAULTS: tuple[tuple[Fault, ...], ...] = (
    (
        Fault(
            "server is killed (SIGKILL), and stays down",
            _killed,
            lambda _before, now: _check(now, "database")["status"] == "critical",
            "PostgresDown",
        ),
    ),
    (
        Fault("archive cannot be written", _archive_stuck, _reason("archiver"), "PostgresArchiverFailing"),
        Fault("disk of the repository is 90 % full", _disk_filled, _reason("disk_repository"), "VolumeSpaceCritical"),
        Fault(
            f"certificate ends in {_CERTIFICATE_DAYS} days",
            _certificate_ends,
            _reason("certificate"),
            "TlsCertificateExpiring",
        ),
        Fault(
            f"backup is too old ({TOO_OLD_SECONDS} s in the place of 26 h)",
            _backup_too_old,
            lambda _before, now: (now["backup"]["newest"] or {}).get("age_seconds", 0) > TOO_OLD_SECONDS,
            TOO_OLD,
        ),
    ),
    (
        Fault(
            "an application uses up all connections",
            _connections_used_up,
            _reason("connections"),
            "PostgresConnectionsExhausted",
        ),
        Fault("drill fails: data of the backup are gone", _drill_failed, _reason("drill"), "RestoreDrillFailed"),
    ),
    (
        Fault(
            "a session needs more memory than there is (OOM)",
            _out_of_memory,
            lambda before, now: (now["memory"]["oom_kills"] or 0) > (before["memory"]["oom_kills"] or 0),
            "ServerOomKilled",
            lasting=True,
        ),
    ),
    (
        Fault(
            "server hangs (paused)",
            _paused,
            lambda _before, now: _check(now, "database")["value"] == "hung",
            "PostgresDown",
        ),
    ),
)


def _wait(lab: Lab, condition: Callable[[], Any], seconds: float) -> bool:
    """Whether condition came true in time."""
    end = time.monotonic() + seconds
    while not (found := bool(condition())) and time.monotonic() < end and not lab.ended.wait(_LOOK_SECONDS):
        pass
    return found


def _watch(lab: Lab, fault: Fault, before: Snapshot, began: float, seconds: float) -> Seen:
    """Look until everything was seen or seconds are over."""
    times = dict.fromkeys(("keeper", "alert", "webhook"), None)
    known = _heard(lab, fault, "firing")
    looks = {
        "keeper": lambda: (found := lab.snapshot()) and fault.says(before, found),
        "alert": lambda: lab.prometheus.state(fault.rule, NAME) == "firing",
        "webhook": lambda: _heard(lab, fault, "firing") > known,
    }

    def everything() -> bool:
        for name in [name for name, at in times.items() if at is None]:
            if looks[name]():
                times[name] = time.monotonic() - began
        return None not in times.values()

    _wait(lab, everything, seconds)
    return Seen(**times)


def _heard(lab: Lab, fault: Fault, status: str) -> int:
    return len(told(lab.web.received, fault.rule, status))


def _measured(lab: Lab, fault: Fault, wait: str) -> list[str]:
    """The lines of a fault; wait is the for of its rule."""
    # Of a second alert of the same name people hear only when they have heard that the first one is over.
    _wait(lab, lambda: _heard(lab, fault, "resolved") == _heard(lab, fault, "firing"), _INTERVAL_SECONDS)
    if lab.prometheus.state(fault.rule, NAME) == "firing":
        return [f"{fault.what:<52} left out: {fault.rule} fires before it"]
    before = until("a snapshot", lab.snapshot)
    with fault.breaks(lab) as began:
        seen = _watch(lab, fault, before, began, duration(wait) + _PATIENCE_SECONDS)
    found = [line(fault, seen, wait)]
    if not fault.lasting and not _wait(lab, lambda: lab.prometheus.state(fault.rule, NAME) is None, _PATIENCE_SECONDS):
        found.append(f"{'':<52} lifted, and {fault.rule} has not ended within {_PATIENCE_SECONDS:.0f} s")
    return found


def duration(words: str) -> float:
    """Seconds of what the rules write: 30s, 5m, 1h."""
    return float(words[:-1]) * {"s": 1, "m": 60, "h": 3600}[words[-1]]


def line(fault: Fault, seen: Seen, wait: str) -> str:
    """A dash is what was not seen."""
    words = ["-" if each is None else f"{each:.1f}" for each in (seen.keeper, seen.alert, seen.webhook)]
    return f"{fault.what:<52} {words[0]:>8} {words[1]:>8} {words[2]:>8}  {fault.rule:<28} {wait}"


def _together(lab: Lab, faults: Sequence[Fault], rules: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    with ThreadPoolExecutor(len(faults)) as pool:
        try:
            for found in pool.map(lambda fault: _measured(lab, fault, rules[fault.rule].get("for", "0s")), faults):
                yield from found
        except BaseException:
            # Those that still wait need not.
            lab.ended.set()
            raise


def measure() -> None:
    rules = watched.rules(watched.RULES.read_text())
    with watched.lab() as lab:
        began = time.monotonic()
        print(f"{'seconds from a fault until':<52} {'keeper':>8} {'alert':>8} {'webhook':>8}  {'rule':<28} for")
        for faults in FAULTS:
            for words in _together(lab, faults, rules):
                print(words, flush=True)
    fact("all faults", f"{(time.monotonic() - began) / 60:.1f} min", "a kill: keeper <= 10 s, webhook <= 90 s")
