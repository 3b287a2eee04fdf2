"""A small reverse proxy with TLS, as people put one before the product: it ends HTTPS and says so in headers."""

import datetime
import http.client
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
# What a proxy must not hand on (RFC 9110, 7.6.1), and what it writes itself.
NOT_HANDED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where requests go. `prefix` is the path below which the product lives; `strips`: it is taken off on the way."""

    port: int
    prefix: str = ""
    strips: bool = False

    def path(self, given: str) -> str:
        return (given.removeprefix(self.prefix) or "/") if self.strips else given


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A running proxy: its address, and the certificate that a client must trust."""

    url: str
    certificate: Path


@contextmanager
def https_proxy(folder: Path, port: int, route: Route) -> Iterator[Proxy]:
    """Serves until the block ends. Its own port is chosen before, since PUBLIC_URL names it."""
    certificate, key = _certificate(folder)
    server = ThreadingHTTPServer((HOST, port), _handler(route, f"{HOST}:{port}"))
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Proxy(url=f"https://{HOST}:{port}", certificate=certificate)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(route: Route, public_host: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            handed = {name: value for name, value in self.headers.items() if name.lower() not in NOT_HANDED_ON}
            handed |= {
                "Host": f"inside:{route.port}",
                "X-Forwarded-For": self.client_address[0],
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": public_host,
            }
            upstream = http.client.HTTPConnection(HOST, route.port, timeout=20)
            try:
                upstream.request(self.command, route.path(self.path), body=body or None, headers=handed)
                answer = upstream.getresponse()
                content = answer.read()
            finally:
                upstream.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in NOT_HANDED_ON:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = forward  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """It is not the proxy that is looked at."""

    return Handler


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Files of a certificate for the loopback address, signed by itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "proxy.crt", folder / "proxy.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
