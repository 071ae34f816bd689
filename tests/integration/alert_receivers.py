# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real receivers of alerts on an address of this machine: HTTP with and without TLS, SMTP with login over both."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "bearer-token-of-the-test-1"
USER, PASSWORD = "keeper", "smtp-password-of-the-test-1"


class Authority:
    """A CA of its own, below folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name, self.key, ca=True, address=None)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def _sign(self, name: str, key: Any, *, ca: bool, address: Optional[str]) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if ca:
            # Without it a strict verifier takes no certificate for an authority.
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def context(self, address: str) -> ssl.SSLContext:
        """For a server at address."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = self._sign(address, key, ca=False, address=address).public_bytes(serialization.Encoding.PEM)
        file = self.folder / ("%s-%s.pem" % (self.name, address))
        file.write_bytes(private + public)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@dataclass
class Web:
    """Takes POST with the token at /hook and keeps the objects; GET /seen shows them; GET /ping/<key> is counted."""

    address: str
    context: Optional[ssl.SSLContext] = None
    token: Optional[str] = None
    port: int = 0
    received: list[dict[str, Any]] = field(default_factory=list)
    pings: int = 0
    server: Optional[ThreadingHTTPServer] = None

    def start(self) -> None:
        """On the same port as before, if there was one."""
        self.server = ThreadingHTTPServer((self.address, self.port), self._handler())
        self.port = self.server.server_address[1]
        if self.context is not None:
            # Not in accept(): a client that breaks the handshake off must not end the server.
            self.server.socket = self.context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def url(self, path: str) -> str:
        return "%s://%s:%d%s" % ("https" if self.context else "http", self.address, self.port, path)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if web.token is not None and self.headers.get("Authorization") != "Bearer " + web.token:
                    self.answer(401, b"")
                    return
                web.received.append(json.loads(content))
                self.answer(200, b"ok")

            def do_GET(self) -> None:
                if self.path.startswith("/ping/"):
                    web.pings += 1
                self.answer(200, json.dumps(web.received).encode())

            def answer(self, code: int, content: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *words: Any) -> None:
                """Nothing: the test says what was wrong."""

        return Handler


@dataclass
class Mail:
    """Takes mail from USER with PASSWORD, and keeps it: over STARTTLS or, implicit, encrypted from the first byte."""

    address: str
    context: ssl.SSLContext
    implicit: bool = False
    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    controller: Optional[Controller] = None

    def start(self) -> None:
        if not self.port:
            # The controller does not take 0 for any port.
            with socket.create_server((self.address, 0)) as free:
                self.port = free.getsockname()[1]
        self.controller = Controller(
            self,
            hostname=self.address,
            port=self.port,
            # To the server what comes over implicit TLS looks like no encryption; it would refuse the login.
            **(
                {"ssl_context": self.context, "auth_require_tls": False}
                if self.implicit
                else {"tls_context": self.context, "require_starttls": True}
            ),
            authenticator=self._login,
            # Its words for LOGIN are not those that Alertmanager waits for.
            auth_exclude_mechanism=["LOGIN"],
        )
        self.controller.start()

    def stop(self) -> None:
        if self.controller is not None:
            self.controller.stop()
            self.controller = None

    @staticmethod
    def _login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right)

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        return "250 OK"
