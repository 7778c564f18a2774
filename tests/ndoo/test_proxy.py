"""Proxies: which one is used, that it works under mutual TLS, and what is said where it does not."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st
from proxies import answering, proxy, refusal
from scripted import CREDENTIALS, reply, serving
from support import MakeSimulator

from mesh_sim.certs import CertificateFolder, make_certificates
from mesh_sim.config import Tls
from ndoo._proxy import find_proxy, mask, read_proxy
from ndoo.errors import ConfigError, ConnectionFailed
from ndoo.mailbox import Credentials, Mailbox, tls_context

SENDER = Credentials("X26ABC1", "password", "TestKey")
FAR = "https://mesh.example"


@pytest.fixture(autouse=True)
def _no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The proxies of the person who runs the tests do not reach them."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture(scope="module")
def open_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A proxy for everybody."""
    with proxy(tmp_path_factory.mktemp("open")) as place:
        yield place


@pytest.fixture(scope="module")
def closed_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A proxy that wants a user name and a password."""
    with proxy(tmp_path_factory.mktemp("closed"), "--basic-auth", "us er:hush@hush") as place:
        yield place


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    """A development authority with a certificate for a mailbox."""
    return make_certificates(tmp_path_factory.mktemp("certs"), [("X26ABC1", "X26")], now=datetime.now(UTC))


# -- which one --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "url", "found"),
    [
        ({}, FAR, None),
        ({"HTTPS_PROXY": "http://p:1"}, FAR, ("http://p:1", "HTTPS_PROXY")),
        ({"https_proxy": "p:1"}, FAR, ("http://p:1", "https_proxy")),
        ({"HTTP_PROXY": "http://p:1"}, FAR, None),
        ({"HTTP_PROXY": "http://p:1"}, "http://mesh.example", ("http://p:1", "HTTP_PROXY")),
        ({"ALL_PROXY": "http://p"}, FAR, ("http://p:80", "ALL_PROXY")),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:2"}, FAR, ("http://p:2", "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example"}, FAR, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "mesh.example"}, f"{FAR}:8443", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other.example"}, FAR, ("http://p:1", "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "http://p:1"}, "https://127.0.0.1:8700", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://localhost:8700", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://[::1]:8700", None),
    ],
)
def test_the_environment_names_a_proxy(
    variables: dict[str, str], url: str, found: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual variables are followed, exceptions too, and never for a server on this computer."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = find_proxy(url)
    assert (proxy and (proxy.url, proxy.source)) == found


@pytest.mark.parametrize(
    ("setting", "found"),
    [("none", None), (" Direct ", None), ("http://q:2", "http://q:2"), ("", "http://p:1")],
)
def test_the_setting_comes_before_the_environment(
    setting: str, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names another proxy, also for this computer, or none at all."""
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    proxy = find_proxy(FAR, setting)
    assert (proxy and proxy.url) == found
    local = find_proxy("https://127.0.0.1:8700", "http://q:2")
    assert local is not None
    assert local.url == "http://q:2"


@pytest.mark.parametrize(
    "address",
    ["socks5://u:hush@p:1", "https://u:hush@p:1", "http://u:hush@p:port", "http://u:hush@p:1/x", "http://"],
)
def test_what_is_no_http_proxy_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names where it stands, and shows neither user name nor password."""
    with pytest.raises(ConfigError, match=r"NDOO_PROXY = .*http://proxy.example:3128, or none") as by_setting:
        find_proxy(FAR, address)
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(ConfigError, match=r"HTTPS_PROXY = .*set NDOO_PROXY") as by_environment:
        find_proxy(FAR)
    for caught in (by_setting, by_environment):
        assert "hush" not in str(caught.value)
        assert "u:" not in str(caught.value)


@given(st.text(max_size=30))
def test_no_address_breaks_its_reading(text: str) -> None:
    """Whatever is given, it is a proxy with a host, none, or refused."""
    proxy = None
    with suppress(ValueError):
        proxy = read_proxy(text)
    assert proxy is None or proxy.host


@given(st.text(min_size=1).filter(lambda text: "/" not in text), st.text())
def test_masking_hides_user_and_password(user: str, password: str) -> None:
    """What stands before the last @ is never shown."""
    assert mask(f"http://{user}:{password}@proxy:1") == "http://***@proxy:1"


def test_a_proxy_never_shows_its_password() -> None:
    """Neither its text nor its repr does."""
    proxy = read_proxy("http://user:hush@p:1")
    assert proxy is not None
    assert "hush" not in f"{proxy} {proxy!r}"
    assert "user" not in f"{proxy} {proxy!r}"
    assert proxy.authorization not in f"{proxy} {proxy!r}"


# -- through one ------------------------------------------------------------------------------------


async def test_mutual_tls_works_through_a_proxy(
    make_simulator: MakeSimulator, certificates: CertificateFolder, open_proxy: str, closed_proxy: str
) -> None:
    """A message goes out and is listed, with the server seeing our certificate as if there were no proxy."""
    simulator = await make_simulator(tls=Tls.MUTUAL, certs=certificates.path)
    tls = tls_context(certificates.ca, *certificates.client("X26ABC1"))
    for address in (open_proxy, f"http://us%20er:hush%40hush@{closed_proxy}"):
        async with Mailbox(simulator.url, SENDER, ssl=tls, proxy=address) as mailbox:
            await mailbox.handshake()
            await mailbox.send("X26ABC2", "TEST_WORKFLOW", bytes(300_000), local_id="one")
            assert await mailbox.count() == 0


async def test_plain_http_works_through_a_proxy(closed_proxy: str) -> None:
    """Without TLS the proxy reads the request, and gets its password with each."""
    async with (
        serving(reply(200, b'{"count": 3}'), reply(200, b'{"count": 4}')) as server,
        Mailbox(server.url, CREDENTIALS, proxy=f"us%20er:hush%40hush@{closed_proxy}") as mailbox,
    ):
        assert [await mailbox.count(), await mailbox.count()] == [3, 4]


async def test_a_tunnelling_proxy_is_told_no_token() -> None:
    """What it hears is where to connect to, and nothing of MESH."""
    heard: list[bytes] = []
    async with (
        answering(refusal("403 Forbidden"), heard) as place,
        Mailbox(FAR, CREDENTIALS, ssl=tls_context(), proxy=f"u:p@{place}", retries=0) as mailbox,
    ):
        with pytest.raises(ConnectionFailed):
            await mailbox.count()
    assert heard[0].startswith(b"CONNECT mesh.example:443 ")
    assert b"NHSMESH" not in b"".join(heard)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("who", "says"),
    [
        ("", "wants a user name and password; put them into its address.*NDOO_PROXY=http://USER:PASSWORD@"),
        ("us%20er:hush@", "refuses the user name and password given in NDOO_PROXY"),
    ],
)
async def test_a_proxy_that_wants_a_password_is_told(
    scheme: str, who: str, says: str, closed_proxy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing password and a wrong one are told apart, and no password is shown or logged."""
    caplog.set_level(logging.DEBUG)
    tls = tls_context() if scheme == "https" else None
    async with Mailbox(
        f"{scheme}://mesh.example", CREDENTIALS, ssl=tls, proxy=f"{who}{closed_proxy}"
    ) as mailbox:
        with pytest.raises(ConnectionFailed, match=f"the proxy http://{closed_proxy} {says}") as caught:
            await mailbox.count()
    assert "tried" not in str(caught.value)
    assert "hush" not in f"{caught.value} {caplog.text}"
    assert "us%20er" not in f"{caught.value} {caplog.text}"


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("403 Forbidden", "does not allow connections to mesh.example; whoever runs it"),
        ("418 Teapot", r"does not reach mesh.example \(HTTP 418\)"),
        ("502 Bad Gateway", r"does not reach mesh.example \(HTTP 502\).*tried 4 times"),
    ],
)
async def test_a_proxy_that_does_not_let_us_through_is_told(status: str, says: str) -> None:
    """The proxy is named, and why; what may pass is tried again."""
    async with (
        answering(refusal(status)) as place,
        Mailbox(FAR, CREDENTIALS, ssl=tls_context(), proxy=place) as mailbox,
    ):
        with pytest.raises(ConnectionFailed, match=f"the proxy http://{place} {says}"):
            await mailbox.count()


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("127.0.0.1:9", "nothing answers at the proxy http://127.0.0.1:9; .*in NDOO_PROXY right"),
        ("no-such-host.invalid:3128", "no host of the name of the proxy http://no-such-host.invalid:3128"),
    ],
)
async def test_a_proxy_that_is_not_there_is_told(place: str, says: str) -> None:
    """It is the proxy's address that is wrong, not the server's."""
    async with Mailbox(FAR, CREDENTIALS, ssl=tls_context(), proxy=place, retries=0) as mailbox:
        with pytest.raises(ConnectionFailed, match=says):
            await mailbox.count()


async def test_what_is_no_proxy_is_told() -> None:
    """Something that hangs up where a proxy should be is named beside the server."""
    async with (
        answering(b"") as place,
        Mailbox(FAR, CREDENTIALS, ssl=tls_context(), proxy=place, retries=0) as mailbox,
    ):
        with pytest.raises(ConnectionFailed, match=f"or the proxy http://{place} closed it"):
            await mailbox.count()


async def test_a_server_out_of_reach_leads_to_the_proxy_that_may_be_needed() -> None:
    """NDOO_PROXY may be what is missing where another computer cannot be reached, but not for this one."""
    for url, needed in (("https://no-such-host.invalid", True), ("https://127.0.0.1:9", False)):
        async with Mailbox(url, CREDENTIALS, ssl=tls_context(), retries=0) as mailbox:
            with pytest.raises(ConnectionFailed) as caught:
                await mailbox.count()
        assert (
            "; if this network reaches others through a proxy only, set NDOO_PROXY" in str(caught.value)
        ) is needed
