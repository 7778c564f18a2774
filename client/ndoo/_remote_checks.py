"""Tests of the settings that talk to the server: the way there, TLS, and the handshake."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from ndoo._certificates import read_der
from ndoo._failures import explain_proxy, tls_reason
from ndoo._findings import Finding, Verdict
from ndoo._local_checks import found_elsewhere, issuer
from ndoo._probe import Declined, Place, Probe
from ndoo._refusals import CLOCK_SUSPECT, clock_difference
from ndoo._refused import explain_refusal
from ndoo._tested import Server
from ndoo.config import Profile
from ndoo.errors import AuthenticationRefused, CertificateRefused, ConnectionFailed, MeshError

CLOCK_TOLERANCE: Final = timedelta(minutes=2)
"""By how much clocks may differ without a word: tokens hold whole minutes."""


# -- the way there ----------------------------------------------------------------------------------


async def check_way(server: Server) -> AsyncIterator[Finding]:
    """Test name, connection and TLS, up to the first that fails."""
    for step in (_name, _connection, _tls):
        finding = await step(server)
        yield finding
        if finding.verdict is Verdict.FAILED:
            return


async def _name(server: Server) -> Finding:
    check, first = "name", server.probe.first
    whose = f"the proxy {first.host}" if server.proxy else first.host
    try:
        addresses = await server.probe.addresses()
    except (OSError, UnicodeError) as error:
        setting = server.proxy.source if server.proxy else "NDOO_URL"
        slow = isinstance(error, TimeoutError) or getattr(error, "errno", None) == socket.EAI_AGAIN
        why = (
            "nobody who knows names can be asked: is this computer on the network?"
            if slow
            else "no such name"
        )
        return Finding(
            check,
            Verdict.FAILED,
            f"no address can be found for {whose}",
            why,
            f"check {setting} and the network{_proxy_advice(server)}",
        )
    if addresses == [first.host]:
        return Finding(check, Verdict.OK, f"{whose} is an address already")
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    also = "" if server.proxy is None else f"; it looks up {server.probe.target.host}"
    return Finding(check, Verdict.OK, f"{whose} is {addresses[0]}{more}{also}")


async def _connection(server: Server) -> Finding:
    check, probe = "connection", server.probe
    whose = f"the proxy at {probe.first}" if server.proxy else str(probe.first)
    try:
        async with probe.connected(tunnel=server.secured):
            pass
    except Declined as error:
        assert server.proxy is not None  # noqa: S101 -- only a proxy declines
        why, _, advice = explain_proxy(error.status, server.proxy, server.settings.url).partition("; ")
        return Finding(check, Verdict.FAILED, "the proxy does not connect to the server", why, advice)
    except TimeoutError:
        why = "no answer in time, as when a firewall drops what is sent"
        advice = f"have {probe.first} let through{_proxy_advice(server)}"
        return Finding(check, Verdict.FAILED, f"no connection to {whose}", why, advice)
    except OSError as error:
        return Finding(check, Verdict.FAILED, f"no connection to {whose}", *_refused(server, error))
    if server.proxy and not server.secured:
        return Finding(check, Verdict.OK, f"{whose} answers")
    through = f" through the proxy {server.proxy}" if server.proxy else ""
    return Finding(check, Verdict.OK, f"{probe.target} can be reached{through}")


def _refused(server: Server, error: OSError) -> tuple[str, str]:
    if server.proxy:
        return (
            "nothing answers there",
            f"check {server.proxy.source}; NDOO_PROXY names another proxy, or none",
        )
    if server.settings.profile is Profile.SIM and not server.far:
        return "nothing answers there", "start the simulator (mesh-sim serve), or set NDOO_URL to where it is"
    why = (
        "nothing answers there"
        if isinstance(error, ConnectionRefusedError)
        else error.strerror or "it failed"
    )
    return why, f"check host and port in NDOO_URL{_proxy_advice(server)}"


def _proxy_advice(server: Server) -> str:
    if not server.far:
        return ""
    return "; if this network reaches others through a proxy only, set NDOO_PROXY to it"


async def _tls(server: Server) -> Finding:
    check = "TLS"
    if server.tls is None:
        return Finding(check, Verdict.SKIPPED, "the address begins with http://")
    try:
        agreed = await server.probe.secured(server.tls)
    except ssl.SSLError as error:
        return await _explain_tls(server, str(error))
    except TimeoutError:
        what, why = "the server does not finish the TLS handshake", "it does not answer"
        return Finding(check, Verdict.FAILED, what, why, "check host and port in NDOO_URL")
    except (OSError, Declined):
        # Some servers hang up on a certificate that they do not like, and send no word of why.
        return _refused_certificate(server, check, sure=False)
    shown = agreed.getpeercert(True)
    by = f", certificate issued by {issuer(read_der(shown))}" if shown else ""
    return Finding(check, Verdict.OK, f"{agreed.version()}{by}, which is trusted")


async def _explain_tls(server: Server, text: str) -> Finding:
    check = "TLS"
    why, _, advice = tls_reason(text).partition("; ")
    if "CERTIFICATE_VERIFY_FAILED" not in text:
        if _blames_us(text):
            return _refused_certificate(server, check)
        return Finding(check, Verdict.FAILED, "no secure connection", why, advice)
    shown = await server.probe.shown_certificate()
    what = "the server's certificate is not accepted"
    if shown is not None:
        theirs = read_der(shown)
        hosts = ", ".join(theirs.hosts[:4]) or theirs.subject
        what = f"the server shows a certificate for {hosts}, issued by {issuer(theirs)}"
        if "not trusted" in why:
            where = str(server.settings.ca) if server.settings.ca else "this computer"
            why = f"{where} does not vouch for that authority"
            advice = (
                "set NDOO_CA to its certificate, if whoever runs the server or this network vouches for it "
                f"(some proxies open secure connections and show their own){found_elsewhere(theirs.issuer)}"
            )
    return Finding(check, Verdict.FAILED, what, why, advice)


def _blames_us(text: str) -> bool:
    return "client certificate" in tls_reason(text)


def _refused_certificate(server: Server, check: str, *, sure: bool = True) -> Finding:
    ours, settings = server.ours, server.settings
    doubt = "" if sure else "; it hung up without a word, so that host and port may be wrong as well"
    if ours is None:
        what, why = "the server wants a client certificate, and none is set", "it speaks mutual TLS"
        advice = "set NDOO_CERT and NDOO_KEY to the pair issued for this mailbox and environment"
        return Finding(check, Verdict.FAILED, what, why + doubt, advice)
    what = "the server refuses our certificate"
    if not ours.valid_from <= server.clock() < ours.valid_until:
        why = f"it is valid from {ours.valid_from:%Y-%m-%d} to {ours.valid_until:%Y-%m-%d} only"
        return Finding(check, Verdict.FAILED, what, why, "have it renewed; is this computer's clock right?")
    why = (
        f"ours, for {ours.subject}, is issued by {issuer(ours)}; this environment does not trust that "
        f"authority, or not this certificate any more{doubt}"
    )
    advice = f"set NDOO_CERT and NDOO_KEY to the pair issued for {settings.profile}; another's does not do"
    if settings.profile is Profile.SIM:
        advice = "set NDOO_CERT and NDOO_KEY to those in the folder that mesh-sim serve takes its own from"
    return Finding(check, Verdict.FAILED, what, why, advice)


# -- the handshake ----------------------------------------------------------------------------------


async def check_handshake(server: Server, *, trying: bool) -> AsyncIterator[Finding]:
    """Shake hands, once, and explain what comes of it; then compare the clocks.

    With ``trying``, at most three more handshakes find out which secret is wrong.
    """
    async with server.mailbox(server.credentials()) as mailbox:
        try:
            await mailbox.handshake()
        except MeshError as error:
            finding = await _explain(server, error, mailbox.clock_ahead, trying=trying)
        else:
            finding = Finding("handshake", Verdict.OK, f"mailbox {mailbox.mailbox_id} is open to us")
        ahead = mailbox.clock_ahead
    yield finding
    yield _clock(ahead, finding)


def _clock(ahead: timedelta | None, handshake: Finding) -> Finding:
    if ahead is None:
        return Finding("clock", Verdict.SKIPPED, "the server did not tell the time")
    if abs(ahead) <= CLOCK_TOLERANCE:
        return Finding("clock", Verdict.OK, "as the server's, give or take two minutes")
    shut_out = abs(ahead) > CLOCK_SUSPECT and handshake.verdict is Verdict.FAILED
    return Finding(
        "clock",
        Verdict.FAILED if shut_out else Verdict.WARNING,
        f"this computer's clock is {clock_difference(ahead)}",
        "tokens are accepted up to two hours from the server's time",
        "set it right: have it kept by the network (NTP)",
    )


async def _explain(server: Server, error: MeshError, ahead: timedelta | None, *, trying: bool) -> Finding:
    check = "handshake"
    text = str(error).removeprefix("could not shake hands: ")
    match error:
        case AuthenticationRefused():
            return await explain_refusal(server, error, ahead, trying=trying)
        case CertificateRefused() if server.secured and _blames_us(text):
            return _refused_certificate(server, check)
        case ConnectionFailed(status=None) if server.secured:
            if await _hangs_up(server):
                return _refused_certificate(server, check)
        case MeshError() if not server.secured and await server.probe.speaks_tls():
            place = server.settings.url.removeprefix("http://")
            why = "it speaks TLS, and the address begins with http://"
            return Finding(
                check,
                Verdict.FAILED,
                f"{place} does not answer plain HTTP",
                why,
                f"set NDOO_URL to https://{place}",
            )
        case _:
            pass
    why, _, advice = text.partition("; ")
    return Finding(check, Verdict.FAILED, "no handshake", why, advice)


async def _hangs_up(server: Server) -> bool:
    """Whether the server breaks off as soon as it has seen our certificate, or that there is none."""
    if server.tls is None:
        return False
    try:
        await server.probe.secured(server.tls, listen=True)
    except TimeoutError:
        return False
    except (OSError, EOFError):
        return True
    except Declined:
        return False
    return False


async def sim_speaks_tls(url: str, patience: float = 1.0) -> bool:
    """Tell whether the port of an address speaks TLS; no if nothing answers there."""
    try:
        return await Probe(Place.of(url), None, patience).speaks_tls()
    except OSError:
        return False
