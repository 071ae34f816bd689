# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One alert to one receiver: what it reads, and the attempt to bring it there. Private to the collection.

requests and the certificates of the system are in the keeper only, so it is imported late. So is what speaks SMTP,
which only a keeper that sends mail needs.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Mapping, Optional

from ._alert import RESOLVED, TEST
from ._alert_config import Email, Receiver, Webhook

if TYPE_CHECKING:
    import smtplib
    import ssl

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0

# The receiver understood and will never take this one; another one it may take.
_HOPELESS_HTTP = (400, 413, 415, 422)
_HOPELESS_SMTP = (552, 554)

# What urllib3 writes before the words of the system: which of its objects failed.
_CONNECTION = re.compile(r"^<?[\w.]*Connection(?: object at \w+>|\(.*?\)): (?:Failed to establish a new connection: )?")


class Undelivered(Exception):
    """Why an attempt failed, in words for the reader of pgkeep alerts. hopeless: not the way but this alert is bad."""

    def __init__(self, words: str, *, hopeless: bool = False) -> None:
        super().__init__(words)
        self.hopeless = hopeless


def payload(alert: Mapping[str, Any], host: str, repeated: int) -> dict[str, Any]:
    """What a receiver gets as JSON; alert is the content of a file of the queue, not yet redacted."""
    names = ("id", "instance", "status", "severity", "action", "what", "why", "next_step", "at", "details")
    found = {name: alert.get(name) for name in names}
    return {
        **found,
        "host": host,
        "repeated": repeated,
        "runbook": "/etc/pgkeep/%s/RUNBOOK.md" % alert.get("instance"),
    }


def headline(content: Mapping[str, Any]) -> str:
    """One line: [pgkeep] CRITICAL orders: The backup of orders failed."""
    status = str(content["status"])
    word = status if status in (RESOLVED, TEST) else str(content["severity"])
    return "[pgkeep] %s %s: %s" % (word.upper(), content["instance"], " ".join(str(content["what"]).split()))


def body(content: Mapping[str, Any]) -> str:
    """For somebody who was just woken up: what to do comes before what a machine wants to know."""
    lines = [
        "What: %s" % content["what"],
        "Why:  %s" % content["why"],
        "Next: %s" % content["next_step"],
        "",
        "Instance: %s on %s" % (content["instance"], content["host"]),
        "Time:     %s" % content["at"],
        "Runbook:  %s (on that host)" % content["runbook"],
    ]
    if content["repeated"]:
        lines.append("Repeated: %d times more, not told one by one" % content["repeated"])
    if content["details"]:
        lines += ["", "Details: %s" % json.dumps(content["details"], ensure_ascii=False, sort_keys=True)]
    return "\n".join([*lines, "", "Action %s, alert %s" % (content["action"], content["id"]), ""])


def send(receiver: Receiver, content: Mapping[str, Any], total_seconds: float = TOTAL_SECONDS) -> str:
    """Bring content to receiver and return what it answered. Raises Undelivered, at the latest after total_seconds.

    The work is done by a thread, because no library bounds an attempt as a whole against a peer that sends a byte now
    and then. One that hangs is left behind, and no second one is sent after it.
    """
    name = "alert-to-" + receiver.name
    if any(thread.name == name for thread in threading.enumerate()):
        raise Undelivered("the attempt before this one still hangs")
    outcome: list[Any] = []

    def attempt() -> None:
        try:
            outcome.append(_webhook(receiver, content) if isinstance(receiver, Webhook) else _email(receiver, content))
        except Undelivered as error:
            outcome.append(error)
        except Exception as error:  # noqa: BLE001 - it is raised again where somebody reads it
            outcome.append(Undelivered("%s: %s" % (type(error).__name__, error)))

    worker = threading.Thread(target=attempt, name=name, daemon=True)
    worker.start()
    worker.join(total_seconds)
    if not outcome:
        raise Undelivered("no answer within %g s" % total_seconds)
    if isinstance(outcome[0], Undelivered):
        raise outcome[0]
    return str(outcome[0])


def _webhook(receiver: Webhook, content: Mapping[str, Any]) -> str:
    data: Mapping[str, Any] = content
    if receiver.format == "slack":
        data = {"text": "*%s*\n%s" % (headline(content), body(content))}
    headers = {"Idempotency-Key": str(content["id"])}
    if receiver.token is not None:
        headers["Authorization"] = "Bearer " + receiver.token
    return request("POST", receiver.url, receiver.ca, data, headers)


def request(
    method: str,
    url: str,
    ca: Optional[str],
    data: Optional[Mapping[str, Any]] = None,
    headers: Optional[Mapping[str, str]] = None,
) -> str:
    """One request over HTTP; anything but 2xx raises Undelivered. No redirect is followed: it would carry the token."""
    import requests

    kinds = {} if data is None else {"Content-Type": "application/json"}
    with requests.Session() as session:
        # Nothing of the environment: no proxy, no .netrc, no other certificates.
        session.trust_env = False
        try:
            with session.request(
                method,
                url,
                data=None if data is None else json.dumps(data, ensure_ascii=False).encode(),
                headers={"User-Agent": "pgkeep", **kinds, **(headers or {})},
                timeout=(CONNECT_SECONDS, TOTAL_SECONDS),
                verify=ca or True,
                allow_redirects=False,
                # What it says beyond the status is not read, so it cannot be endless.
                stream=True,
            ) as answer:
                code, reason = answer.status_code, answer.reason or ""
        except (requests.RequestException, OSError) as error:
            raise Undelivered(_words(error)) from error
    if not 200 <= code < 300:
        raise Undelivered(("HTTP %d %s" % (code, reason)).strip(), hopeless=code in _HOPELESS_HTTP)
    return "HTTP %d" % code


def _words(error: BaseException) -> str:
    """The innermost reason: around it stands only through how many hands it went."""
    innermost = error
    for _step in range(10):
        inner = getattr(innermost, "reason", None)
        inner = (
            inner
            if isinstance(inner, BaseException)
            else next((each for each in innermost.args if isinstance(each, BaseException)), None)
        )
        if inner is None:
            break
        innermost = inner
    return _CONNECTION.sub("", " ".join(str(innermost).split()))


def _email(receiver: Email, content: Mapping[str, Any]) -> str:
    import smtplib
    import ssl
    from email.message import EmailMessage
    from email.utils import formatdate

    message = EmailMessage()
    message["Subject"] = headline(content)
    message["From"] = receiver.sender
    message["To"] = ", ".join(receiver.recipients)
    message["Date"] = formatdate(time.time())
    message["Message-ID"] = "<%s@%s.pgkeep>" % (content["id"], content["instance"])
    message["Auto-Submitted"] = "auto-generated"
    message["X-Pgkeep-Id"] = str(content["id"])
    message.set_content(body(content))
    try:
        context = ssl.create_default_context(cafile=receiver.ca)
        server = _connected(receiver, context)
        try:
            if receiver.tls == "starttls":
                server.starttls(context=context)
            if receiver.username and receiver.password:
                server.login(receiver.username, receiver.password)
            turned_away = server.send_message(message)
            # It is accepted now: how the server takes the farewell does not matter any more.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
        finally:
            server.close()
    except smtplib.SMTPRecipientsRefused as error:
        raise Undelivered("every recipient was refused: %s" % _said(*next(iter(error.recipients.values())))) from error
    except smtplib.SMTPResponseException as error:
        hopeless = isinstance(error, smtplib.SMTPDataError) and error.smtp_code in _HOPELESS_SMTP
        raise Undelivered(_said(error.smtp_code, error.smtp_error), hopeless=hopeless) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered(" ".join(str(error).split()) or type(error).__name__) from error
    if turned_away:
        # The others have it; to send it again would not help these.
        return "250 accepted, but not for %s" % ", ".join(sorted(turned_away))
    return "250 accepted"


def _connected(receiver: Email, context: ssl.SSLContext) -> smtplib.SMTP:
    import smtplib

    # The own name is given, or smtplib would ask the name service for it.
    options: dict[str, Any] = {"local_hostname": socket.gethostname(), "timeout": CONNECT_SECONDS}
    if receiver.tls == "tls":
        return smtplib.SMTP_SSL(receiver.host, receiver.port, context=context, **options)
    return smtplib.SMTP(receiver.host, receiver.port, **options)


def _said(code: int, text: Any) -> str:
    words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return "SMTP %d %s" % (code, " ".join(words.split()))
