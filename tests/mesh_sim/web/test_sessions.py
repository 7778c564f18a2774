"""The cookies of pages and the tokens of their forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.web.sessions import LIFETIME_S, Sessions

TOKEN = "an admin token"
NOW = 1_800_000_000.0


def at(moment: float, token: str | None = TOKEN) -> Sessions:
    """Sessions at a moment."""
    return Sessions(token, now=lambda: moment)


def test_without_a_token_everybody_is_signed_in() -> None:
    """Where the control API has no token, the pages need none either."""
    sessions = at(NOW, None)
    assert not sessions.needs_token
    assert sessions.visit("").signed_in


def test_a_visit_begins_signed_out_and_goes_on_after_the_token() -> None:
    """A cookie is known again, and says whether its browser has given the token."""
    sessions = at(NOW)
    begun = sessions.visit("")
    assert begun.is_new
    assert not begun.signed_in
    assert sessions.visit(begun.cookie).cookie == begun.cookie
    assert not sessions.visit(begun.cookie).signed_in
    visit = sessions.sign_in(TOKEN)
    assert visit is not None
    assert visit.signed_in
    again = sessions.visit(visit.cookie)
    assert again.signed_in
    assert not again.is_new


@pytest.mark.parametrize("token", ["", "an admin toke", TOKEN + " ", TOKEN.upper(), "ä", "\udcff"])
def test_another_token_signs_nobody_in(token: str) -> None:
    """Only the very token is one."""
    assert at(NOW).sign_in(token) is None


def test_a_cookie_is_good_for_a_working_day() -> None:
    """To the second, and not longer."""
    visit = at(NOW).sign_in(TOKEN)
    assert visit is not None
    assert at(NOW + LIFETIME_S - 1).visit(visit.cookie).signed_in
    late = at(NOW + LIFETIME_S).visit(visit.cookie)
    assert not late.signed_in
    assert late.is_new


def test_another_server_with_the_same_token_knows_the_cookie() -> None:
    """A restart, or a second server behind one address, signs nobody out; another token does."""
    visit = at(NOW).sign_in(TOKEN)
    assert visit is not None
    assert at(NOW).visit(visit.cookie).signed_in
    assert at(NOW).visit(visit.cookie).csrf == visit.csrf
    assert not at(NOW, "another token").visit(visit.cookie).signed_in


def test_a_form_belongs_to_its_visit() -> None:
    """Neither another visit's token, nor none, nor the cookie itself is a form's."""
    sessions = at(NOW, None)
    mine, theirs = sessions.visit(""), sessions.visit("")
    assert sessions.is_ours(mine, mine.csrf)
    for csrf in (theirs.csrf, "", mine.cookie, mine.csrf[:-1], "ü"):
        assert not sessions.is_ours(mine, csrf)


@given(st.data())
def test_a_changed_cookie_is_nobody_s(data: st.DataObject) -> None:
    """Whatever is changed of a cookie, it is not taken for ours, and never an error."""
    visit = SIGNED_IN.sign_in(TOKEN)
    assert visit is not None
    place = data.draw(st.integers(0, len(visit.cookie)))
    cut = data.draw(st.integers(0, 3))
    changed = visit.cookie[:place] + data.draw(st.text(max_size=3)) + visit.cookie[place + cut :]
    assert SIGNED_IN.visit(changed).signed_in is (changed == visit.cookie)


@given(st.text())
def test_any_text_for_a_cookie_begins_a_visit(cookie: str) -> None:
    """Rubbish is no cookie."""
    assert SIGNED_IN.visit(cookie).is_new


SIGNED_IN = at(NOW)
