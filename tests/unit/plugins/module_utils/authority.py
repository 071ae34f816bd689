# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An authority that signs what a test wants, good or bad."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Optional, Union

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

ADDRESS = "127.0.0.1"
PublicKey = Union[ec.EllipticCurvePublicKey, rsa.RSAPublicKey]
PrivateKey = Union[ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey]


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Authority:
    """pem is its own certificate; upper the authority that signed it, without one itself."""

    def __init__(self, name: str = "test ca", ends_in_days: float = 900, upper: Optional[Authority] = None) -> None:
        self.name = named(name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        self.pem = (upper or self)._signed(self.name, self.key.public_key(), constraint, ends_in_days)

    def _signed(
        self,
        subject: x509.Name,
        key: PublicKey,
        extension: x509.ExtensionType,
        ends_in_days: float,
    ) -> str:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=900))
            .not_valid_after(now + datetime.timedelta(days=ends_in_days))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, *hosts: str, ends_in_days: float = 300, key: Optional[PrivateKey] = None) -> tuple[str, str]:
        """Certificate and key of a server; the key is made where none is given."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([general_name(host) for host in hosts or (ADDRESS,)])
        certificate = self._signed(named("server"), key.public_key(), names, ends_in_days)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate, private.decode()
