"""A simulator with a life: started, stopped, and reached by clients in between."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from mesh_sim.certs import CertificateFolder, make_certificates
from mesh_sim.clock import real_now
from mesh_sim.config import Settings, Tls
from mesh_sim.embedded.host import Host, given_settings
from mesh_sim.embedded.seen import Credentials
from mesh_sim.exchange.directory import Mailbox


class Hosted:
    """The part of :class:`mesh_sim.Simulator` that starts, stops and lets itself be found."""

    def __init__(self, **settings: Any) -> None:
        self._settings = given_settings(**{"port": 0, "opt_out_rate": 0.0, **settings})
        self._given = frozenset(settings)
        self._folder = Path()
        self._running: Host | None = None
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start it; it is serving when this returns."""
        if self._running is not None:
            raise RuntimeError("the simulator is running already")
        with ExitStack() as stack:
            # What a client still writes there when the simulator stops must not fail a test.
            folder = tempfile.TemporaryDirectory(prefix="mesh-sim-", ignore_cleanup_errors=True)
            self._folder = Path(stack.enter_context(folder))
            self._running = Host(self._placed())
            stack.callback(self._running.stop)
            self._closing = stack.pop_all()
        return self

    def stop(self) -> None:
        """Stop it, if it is running: its port is free, its thread has ended and its folder is gone."""
        self._running = None
        self._closing.close()

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._running is not None

    def __repr__(self) -> str:
        return f"<Simulator at {self.url}>" if self.running else "<Simulator, not running>"

    # -- reaching it --------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it answers, such as ``http://127.0.0.1:40123``."""
        return self._host.server.url

    def credentials(self, mailbox: str) -> Credentials:
        """Give what a client needs to call as this mailbox."""
        box = self._known(mailbox)
        return Credentials(box.mailbox_id, box.password, self._settings.shared_key.get_secret_value())

    def environment(self, mailbox: str = "X99GP001") -> dict[str, str]:
        """Give the variables with which ``ndoo`` calls as this mailbox, and ``mesh-sim`` finds the simulator.

        To be added to others: ``os.environ | simulator.environment()``. Those that would be in the way are
        empty, which is as if they were not set.
        """
        settings, caller = self._host.server.core.settings, self.credentials(mailbox)
        certificate, key = "", ""
        if settings.tls is Tls.MUTUAL:
            certificate, key = map(str, self.certificate(mailbox))
            self.certificate(settings.ndoo_mailbox)  # the one that the commands of mesh-sim show
        token = settings.admin_token
        return {
            "NDOO_PROFILE": "sim",
            "NDOO_URL": self.url,
            "NDOO_MAILBOX": caller.mailbox,
            "NDOO_PASSWORD": caller.password,
            "NDOO_SHARED_KEY": caller.shared_key,
            "NDOO_SERVICE_MAILBOX": settings.ndoo_mailbox,
            "NDOO_DATA": str(self._folder / "ndoo"),
            "NDOO_CA": "" if settings.tls is Tls.OFF else str(self.ca),
            "NDOO_CERT": certificate,
            "NDOO_KEY": key,
            "MESH_SIM_HOST": settings.host,
            "MESH_SIM_PORT": str(urlsplit(self.url).port),
            "MESH_SIM_TLS": settings.tls.value,
            "MESH_SIM_CERTS": str(settings.certs),
            "MESH_SIM_ADMIN_TOKEN": token.get_secret_value() if token else "",
        }

    @property
    def ca(self) -> Path:
        """The certificate of the authority that clients are to trust."""
        return self._certificates.ca

    def certificate(self, mailbox: str) -> tuple[Path, Path]:
        """Give a mailbox's certificate and its key; made on first use, unless ``certs`` was given."""
        box, files = self._known(mailbox), self._certificates
        if "certs" not in self._given:
            make_certificates(files.path, [(box.mailbox_id, box.ods_code)], now=real_now())
        return files.client(box.mailbox_id)

    # -- for what is built on it --------------------------------------------------------------------

    def _placed(self) -> Settings:
        """Have everything in the simulator's own folder, but for what was given."""
        places = {name: self._folder / name for name in ("data", "certs") if name not in self._given}
        if self._settings.tls is not Tls.OFF and "certs" in places:
            make_certificates(places["certs"], [], now=real_now())
        return self._settings.model_copy(update=places)

    @property
    def _host(self) -> Host:
        if self._running is None:
            raise RuntimeError("the simulator is not running; use it inside 'with Simulator() as simulator:'")
        return self._running

    def _known(self, mailbox: str) -> Mailbox:
        directory = self._host.server.exchange.directory
        found = directory.mailbox(mailbox.strip().upper())
        if found is None:
            raise LookupError(directory.unknown(repr(mailbox)))
        return found

    @property
    def _certificates(self) -> CertificateFolder:
        settings = self._host.server.core.settings
        if settings.tls is Tls.OFF:
            raise RuntimeError("without TLS there are no certificates; make it Simulator(tls='mutual')")
        return CertificateFolder(settings.certs)
