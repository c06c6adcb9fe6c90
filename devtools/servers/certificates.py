"""A private certificate authority and what it signs, made anew for each test session."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(slots=True)
class Authority:
    """`pem` is what a client is told to trust."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, folder: Path) -> Authority:
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"tests' own authority in {folder.name}")
        basic = x509.BasicConstraints(ca=True, path_length=0)
        unsigned = _builder(name, name, key, days=30).add_extension(basic, critical=True)
        authority = cls(folder, key, unsigned.sign(key, hashes.SHA256()))
        authority.pem.write_bytes(_pem(authority.certificate))
        return authority

    @property
    def pem(self) -> Path:
        return self.folder / "ca.pem"

    def context(self, host: str, *, days: int = 30) -> ssl.SSLContext:
        """A server's TLS context with a certificate for `host`; negative days: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        names = x509.SubjectAlternativeName([alternative])
        unsigned = _builder(_name(host), self.certificate.subject, key, days=days)
        signed = unsigned.add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        file = self.folder / f"{host}{days}.pem"
        file.write_bytes(_pem(signed) + _private(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
