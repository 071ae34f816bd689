# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: judged before they are in force, exchanged without an interruption. Private to the collection."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import time
from dataclasses import replace
from typing import Any, Iterator, Mapping

from ._container import reachable
from ._declared import Declared
from ._errors import PgkeepError
from ._instance import ensure
from ._layout import Layout
from ._probe import Target, served
from ._release import read_current
from ._rollback import returned
from ._run import Run
from ._subject_names import subject_names
from ._terms import terms_from

# Of the module instance, and of the module tls, which has them at the top.
OPTIONS: dict[str, dict[str, Any]] = {
    "certificate": {"type": "str", "required": True},
    "private_key": {"type": "str", "required": True, "no_log": True},
    "ca_certificate": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
}

# A reload is a signal, so the port may serve the former certificate for a moment.
_SERVED_SECONDS = 10

_NEXT = {
    "expired": "have it signed anew, or correct the clock of this machine if that is wrong",
    "name": "have it signed for that name too",
    "issuer": "give the certificate of the authority that signed it; those between belong behind the server's own",
    "host": "correct postgres_server_names",
    "key": "make a key of a usual kind, such as P-256, Ed25519 or RSA from 2048 bits, and have it signed",
    "pair": "give the private key that it was made for, in PEM form and without a passphrase",
}
# Reasons of OpenSSL for what a pair of certificate and key lacks besides each other.
_WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")
# Tools put text before a certificate, in whatever alphabet; Python's ssl takes ASCII alone.
_PEM = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
# X509_V_ERR_… of OpenSSL (x509_vfy.h): not valid yet, expired; another host, mail or IP address.
_WORDS = {**dict.fromkeys((9, 10), "expired"), **dict.fromkeys((62, 63, 64), "name")}


def exchange(run: Run, name: str, tls: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Give the instance another certificate and nothing else; returns what the module instance does, and tls.

    It is a deploy of the release in force with these files, under its own terms, that may interrupt nobody. Raises
    PgkeepError before anything is touched where a client would refuse the certificate.
    """
    layout = Layout(name)
    current = read_current(layout)
    if current is None:
        raise PgkeepError("The instance %s has no certificate yet" % name, "it was never deployed", "run deploy.yml")
    declared = returned(layout, current, current)
    wanted = _files(layout, tls)
    files = tuple(replace(file, content=wanted.get(file.path, file.content)) for file in declared.files)
    declared = replace(declared, files=files)
    refuse(declared, tls)
    terms = replace(terms_from(current["terms"]), restart_allowed=False)
    result = ensure(run, declared, terms, check_mode)
    return {**result, "tls": {} if check_mode else _proof(declared, tls)}


def _files(layout: Layout, tls: Mapping[str, Any]) -> dict[str, str]:
    places = {
        layout.server_config_dir + "/tls/": ("server.crt", "server.key", "ca.crt"),
        layout.pooler_config_dir + "/": ("server.crt", "server.key", "ca.crt"),
        layout.client_dir + "/": ("ca.crt",),
    }
    option = {"server.crt": "certificate", "server.key": "private_key", "ca.crt": "ca_certificate"}
    return {place + file: tls[option[file]] for place, files in places.items() for file in files}


def refuse(declared: Declared, tls: Mapping[str, Any]) -> None:
    """Raises PgkeepError unless clients that know only ca_certificate take the certificate under every name in use.

    It is a handshake in memory with verify-full, so what clients would say is not guessed. The names are the address of
    the port, that of the server's container where a pooler reaches it by that, and those of the option names.
    """
    what = "The certificate of %s cannot be used" % declared.layout.name
    address = reachable(declared.server.ports[0].rsplit(":", 2)[0])
    names = subject_names([address, *([declared.layout.server] if declared.pooler else []), *tls["names"]])
    try:
        server = _server(tls)
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", None) in _WEAK:
            raise PgkeepError(what, "its key is too weak: %s" % error, _NEXT["key"]) from error
        why = "certificate and private_key do not belong together: %s" % error
        raise PgkeepError(what, why, _NEXT["pair"]) from error
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The verdict comes with the first answer of the server.
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        client.load_verify_locations(cadata="\n".join(_PEM.findall(tls["ca_certificate"])))
    except (ssl.SSLError, ValueError) as error:
        raise PgkeepError(what, "ca_certificate holds no certificate: %s" % error, _NEXT["issuer"]) from error
    for host in (name.partition(":")[2] for name in names):
        try:
            _handshake(server, client, host)
        except ssl.SSLCertVerificationError as error:
            why = "a client of %s would refuse it: %s" % (host, error.verify_message)
            raise PgkeepError(what, why, _NEXT[_WORDS.get(error.verify_code, "issuer")]) from error
        except ssl.SSLError as error:
            raise PgkeepError(what, "no client could speak TLS 1.3 with its key: %s" % error, _NEXT["key"]) from error
        except UnicodeError as error:
            raise PgkeepError(what, "%s is no name of a host: %s" % (host, error), _NEXT["host"]) from error


def _server(tls: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if "ENCRYPTED" in tls["private_key"]:
        # The library would ask for the passphrase on a terminal.
        raise ValueError("the private key has a passphrase")
    with _in_memory(tls["certificate"]) as certificate, _in_memory(tls["private_key"]) as key:
        context.load_cert_chain(certificate, key)
    return context


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """The path of a file that is on no disk: Python's ssl takes a chain and its key only by path."""
    descriptor = os.memfd_create("pgkeep")
    try:
        os.write(descriptor, text.encode())
        yield "/proc/self/fd/%d" % descriptor
    finally:
        os.close(descriptor)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> None:
    """Up to the verdict of the client, which is its second step."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server, server_hostname=host)
    for side in (asking, serving):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    asking.do_handshake()


def _proof(declared: Declared, tls: Mapping[str, Any]) -> dict[str, Any]:
    """What every port of the instance really serves. Raises PgkeepError where it is another certificate."""
    expected = ssl.PEM_cert_to_DER_cert(_PEM.findall(tls["certificate"])[0])
    containers = [declared.server, *([declared.pooler] if declared.pooler else [])]
    found: dict[str, Any] = {}
    for container in containers:
        address, port, _inside = container.ports[0].rsplit(":", 2)
        target = Target(reachable(address), int(port), "", "", declared.layout.client_dir + "/ca.crt")
        found = _wait_for(target, expected, container.name)
    return {
        "serial": found["serialNumber"],
        "not_after": found["notAfter"],
        "served_by": [container.name for container in containers],
    }


def _wait_for(target: Target, expected: bytes, container: str) -> dict[str, Any]:
    end = time.monotonic() + _SERVED_SECONDS
    while True:
        try:
            binary, found = served(target)
            words = "it is the certificate %s" % found["serialNumber"]
            if binary == expected:
                return found
        except OSError as error:
            words = str(error)
        if time.monotonic() > end:
            raise PgkeepError(
                "%s does not serve the new certificate" % container, words, "read docker logs %s" % container
            )
        time.sleep(0.1)
