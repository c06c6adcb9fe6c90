"""Which certificate authorities an HTTPS connection trusts when nobody names one.

A wheel carries its own libcurl and TLS library, whose built-in path is that of the machine that
built the wheel. So the path is looked for here, on the machine that runs.
"""

from __future__ import annotations

import os

VARIABLES = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")

# Where distributions keep the bundle, the most common first.
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo, NixOS
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # RHEL without the link above
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, OpenBSD, macOS
)


def find_certificates() -> str | None:
    """A PEM file or a folder: what a variable names, otherwise the system's bundle.

    A variable wins even when its file is missing: the connection then fails and names it, where
    falling back would trust others than the user meant. Without a system bundle certifi's is
    taken when it is installed; None leaves the choice to libcurl.
    """
    for variable in VARIABLES:
        if os.environ.get(variable):
            return os.environ[variable]
    for bundle in SYSTEM_BUNDLES:
        if os.path.isfile(bundle):
            return bundle
    try:
        from certifi import where
    except ImportError:
        return None
    return str(where())
