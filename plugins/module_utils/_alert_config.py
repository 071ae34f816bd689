# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the keeper tells, from the topic alerts of keeper.json. Private to the collection.

Addresses are secrets too: whoever has the URL of a chat or of a dead-man service can write there. They, tokens and
passwords lie in files beside keeper.json, whose names split() gives them and the topic mentions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Callable, Mapping, Optional, Union
from urllib.parse import urlsplit

from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._keeper_config import secret, topic

TOPIC = "alerts"
FORMATS = ("json", "slack")
TLS = ("starttls", "tls", "none")

# What the inventory may say; the first names are those that become files.
_WEBHOOK_FILES, _WEBHOOK = ("url", "token", "ca"), ("name", "format")
_EMAIL_FILES, _EMAIL = ("password", "ca"), ("host", "port", "tls", "username", "from", "to")
_TOP_FILES, _TOP = (
    ("deadman_url", "deadman_ca"),
    ("host", "webhooks", "email", "deadman_interval_seconds", "repeat_seconds", "thresholds"),
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Webhook:
    """ca is the path of a file with certificates, None for those of the system."""

    name: str
    url: str
    format: str = "json"
    token: Optional[str] = None
    ca: Optional[str] = None


@dataclass(frozen=True)
class Email:
    """tls is one of TLS; recipients are addresses."""

    host: str
    port: int
    tls: str
    sender: str
    recipients: tuple[str, ...]
    username: Optional[str] = None
    password: Optional[str] = None
    ca: Optional[str] = None
    name: str = "email"


Receiver = Union[Webhook, Email]


@dataclass(frozen=True)
class Deadman:
    url: str
    interval_seconds: float
    ca: Optional[str] = None


@dataclass(frozen=True)
class Thresholds:
    """When a state is told that no job stumbled over. A factor is a multiple of the schedule's longest distance.

    clear_seconds: how long it has to be well again before that is told. watch_seconds: how often it is looked at.
    """

    server_down_seconds: float = 60
    archiver_failing_seconds: float = 300
    backup_age_factor: float = 1.5
    drill_age_factor: float = 1.5
    overdue_seconds: float = 3600
    disk_percent: float = 85
    clear_seconds: float = 60
    watch_seconds: float = 30


@dataclass(frozen=True)
class Config:
    """host is the machine's name for people; the same alert within repeat_seconds is counted, not told again."""

    host: str
    receivers: tuple[Receiver, ...] = ()
    deadman: Optional[Deadman] = None
    repeat_seconds: float = 3600
    thresholds: Thresholds = Thresholds()


def split(wanted: Mapping[str, Any], host: str) -> dict[str, dict[str, Any]]:
    """From the variable of the inventory to topic (for keeper.json) and files (name -> content).

    What is unknown stays in by its name, for parse() to refuse; its value does not, for it may be a misspelled secret.
    """
    files: dict[str, str] = {}

    def outline(entry: Any, where: str, secrets: tuple[str, ...], known: tuple[str, ...]) -> Any:
        if not isinstance(entry, Mapping):
            return _HIDDEN
        made = {}
        for key, value in entry.items():
            if key in secrets:
                if value:
                    name = "alerts%s.%s" % (where, key.rpartition("_")[2] if key.endswith("ca") else key)
                    files[name] = str(value).strip() + "\n"
                    made[key + "_file"] = name
            else:
                made[str(key)] = value if key in known else _HIDDEN
        return made

    if not wanted:
        return {"topic": {}, "files": {}}
    top = outline(wanted, "", _TOP_FILES, _TOP)
    if "webhooks" in top:
        given = top["webhooks"]
        top["webhooks"] = (
            [outline(each, "-webhook-%d" % at, _WEBHOOK_FILES, _WEBHOOK) for at, each in enumerate(given, 1)]
            if isinstance(given, list)
            else _HIDDEN
        )
    if top.get("email"):
        top["email"] = outline(top["email"], "-email", _EMAIL_FILES, _EMAIL)
    return {"topic": {"host": host, **top}, "files": files}


def load(keeper: Keeper) -> Optional[Config]:
    """What keeper.json says; None when it says nothing. Raises PgkeepError for what cannot be used."""
    wanted = topic(keeper, TOPIC)
    if not wanted:
        return None
    return parse(keeper.instance, wanted, lambda name: secret(keeper, name), lambda name: keeper.config + "/" + name)


def parse(
    instance: str, wanted: Mapping[str, Any], secret_of: Callable[[str], str], path_of: Callable[[str], str]
) -> Config:
    """secret_of gives the content of a file that the topic names, path_of its path."""
    reader = _Reader(instance, secret_of, path_of)
    top = reader.known(wanted, "", _TOP_FILES, _TOP)
    webhooks = top.get("webhooks") or []
    if not isinstance(webhooks, list):
        raise refused(instance, "webhooks is not a list")
    receivers: list[Receiver] = [_webhook(reader, each, number) for number, each in enumerate(webhooks, 1)]
    if top.get("email"):
        receivers.append(_email(reader, top["email"]))
    names = [receiver.name for receiver in receivers]
    if len(set(names)) != len(names):
        raise refused(instance, "two receivers have the same name: %s" % ", ".join(names))
    deadman = None
    url = reader.file(top, "deadman_url")
    if url is not None:
        reader.url(url, "deadman_url")
        interval = reader.number(top, "deadman_interval_seconds", 300)
        deadman = Deadman(url, interval, reader.certificates(top, "deadman_ca"))
    if not receivers and deadman is None:
        raise refused(instance, "it names no receiver: neither webhooks nor email nor deadman_url")
    found = reader.known(
        top.get("thresholds") or {}, "thresholds.", (), tuple(each.name for each in fields(Thresholds))
    )
    thresholds = {name: reader.number(found, name, 0) for name in found}
    return Config(
        str(top.get("host") or instance),
        tuple(receivers),
        deadman,
        reader.number(top, "repeat_seconds", 3600),
        Thresholds(**thresholds),
    )


def refused(instance: str, why: str) -> PgkeepError:
    return PgkeepError(
        "The alerts of %s cannot be set up" % instance,
        why,
        "correct postgres_backup_alerts in the inventory, then run the playbook deploy.yml",
    )


def _webhook(reader: _Reader, entry: Any, number: int) -> Webhook:
    where = "webhooks[%d]." % number
    entry = reader.known(entry, where, _WEBHOOK_FILES, _WEBHOOK)
    url, token = reader.file(entry, "url"), reader.file(entry, "token")
    if url is None:
        raise refused(reader.instance, "%surl is missing" % where)
    host = reader.url(url, where + "url")
    if token is not None and urlsplit(url).scheme == "http" and host not in _LOOPBACK:
        raise refused(
            reader.instance,
            "%stoken would travel in the clear: the url of %s begins with http://, not https://" % (where, host),
        )
    return Webhook(
        str(entry.get("name") or "webhook-%d" % number),
        url,
        reader.choice(entry, where, "format", FORMATS),
        token,
        reader.certificates(entry, "ca"),
    )


def _email(reader: _Reader, entry: Any) -> Email:
    entry = reader.known(entry, "email.", _EMAIL_FILES, _EMAIL)
    missing = [key for key in ("host", "from", "to") if not entry.get(key)]
    if missing:
        raise refused(reader.instance, "email.%s is missing" % ", email.".join(missing))
    to = entry["to"]
    recipients = tuple(str(each) for each in (to if isinstance(to, list) else [to]))
    for address in (str(entry["from"]), *recipients):
        if "@" not in address or "\n" in address:
            raise refused(reader.instance, "%r is no address of e-mail" % address)
    tls = reader.choice(entry, "email.", "tls", TLS)
    username, password = entry.get("username"), reader.file(entry, "password")
    if bool(username) != (password is not None):
        raise refused(reader.instance, "email.username and email.password belong together, one of them is missing")
    if password is not None and tls == "none" and entry["host"] not in _LOOPBACK:
        raise refused(reader.instance, "email.password would travel in the clear: email.tls is none")
    return Email(
        str(entry["host"]),
        int(reader.number(entry, "port", {"starttls": 587, "tls": 465, "none": 25}[tls], "email.")),
        tls,
        str(entry["from"]),
        recipients,
        str(username) if username else None,
        password,
        reader.certificates(entry, "ca"),
    )


@dataclass(frozen=True)
class _Reader:
    """Takes values out of the topic and refuses what cannot be meant."""

    instance: str
    secret_of: Callable[[str], str]
    path_of: Callable[[str], str]

    def known(self, entry: Any, where: str, files: tuple[str, ...], plain: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(entry, Mapping):
            raise refused(self.instance, "%s is not a dictionary" % (where.rstrip(".") or "it"))
        allowed = {*plain, *(name + "_file" for name in files)}
        unknown = sorted(str(key) for key in entry if key not in allowed)
        if unknown:
            raise refused(
                self.instance,
                "there is no %s; known are %s"
                % (", ".join(where + key for key in unknown), ", ".join((*files, *plain))),
            )
        return entry

    def file(self, entry: Mapping[str, Any], key: str) -> Optional[str]:
        name = entry.get(key + "_file")
        return self.secret_of(str(name)) if name else None

    def url(self, url: str, where: str) -> str:
        """The host of the url, which is itself not shown: it may hold a key."""
        try:
            split = urlsplit(url)
            host, _port = split.hostname, split.port
        except ValueError as error:
            raise refused(self.instance, "%s is no URL: %s" % (where, error)) from error
        if split.scheme not in ("http", "https") or not host or any(sign.isspace() for sign in url):
            raise refused(self.instance, "%s is no URL that begins with https:// or http://" % where)
        return host

    def number(self, entry: Mapping[str, Any], key: str, default: float, where: str = "") -> float:
        value = entry.get(key, default)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        if isinstance(value, bool) or not 0 <= number < 1e9:
            raise refused(self.instance, "%s%s is %r, which is no number of that kind" % (where, key, value))
        return number

    def choice(self, entry: Mapping[str, Any], where: str, key: str, choices: tuple[str, ...]) -> str:
        value = entry.get(key) or choices[0]
        if value not in choices:
            raise refused(self.instance, "%s%s is %r; known are %s" % (where, key, value, ", ".join(choices)))
        return str(value)

    def certificates(self, entry: Mapping[str, Any], key: str) -> Optional[str]:
        text = self.file(entry, key)
        if text is None:
            return None
        # Late: only a receiver with certificates of its own needs it.
        import ssl

        try:
            ssl.create_default_context(cadata=text)
        except (ssl.SSLError, ValueError) as error:
            raise refused(self.instance, "%s holds no certificates in PEM form: %s" % (key, error)) from error
        return self.path_of(str(entry[key + "_file"]))
