"""Signing in with Google, or any other OpenID provider in its place."""

import secrets
from datetime import timedelta

from handlers.accounts.declared import account, welcome
from handlers.accounts.payloads import GoogleCallback, Registered, Session
from handlers.accounts.returning import come_back
from handlers.accounts.signin import ADDRESS_RATE, end_sessions, open_session
from server.bodies import Cookie, Redirect, Reply
from server.context import Context
from server.contract import PUBLIC
from server.errors import BadCredentials, NotFound
from server.payload import Nothing
from server.services import Attempt, OpenIdProvider, Person
from storage import accounts
from storage.accounts import Role, Status

PROVIDER = "google"
COOKIE = "google_attempt"
COOKIE_PATH = "/auth/google"
ATTEMPT_LIFETIME = timedelta(minutes=10)


@account.route("GET", "/auth/google/login", roles=PUBLIC, rate=ADDRESS_RATE)
async def start_google(ctx: Context, request: Nothing) -> Redirect:
    """Go to Google to sign in.

    Raises: not_found, unavailable.
    """
    attempt = Attempt.begin()
    location = await _google(ctx).authorization_url(attempt, _redirect_uri(ctx))
    sealed = ctx.runtime.tokens.seal(
        PROVIDER, [attempt.state, attempt.nonce, attempt.verifier], ATTEMPT_LIFETIME, ctx.now
    )
    # Lax, because the way back is a link from another site.
    seconds = int(ATTEMPT_LIFETIME.total_seconds())
    return Redirect(location, (Cookie(COOKIE, sealed, COOKIE_PATH, seconds, "Lax"),))


@account.route("GET", "/auth/google/callback", roles=PUBLIC, rate=ADDRESS_RATE)
async def finish_google(ctx: Context, request: GoogleCallback) -> Reply[Session]:
    """Come back from Google: the person is found by subject, else linked by verified email.

    Raises: bad_credentials, not_found, unavailable.
    """
    google = _google(ctx)
    parts = ctx.runtime.tokens.unseal(PROVIDER, ctx.caller.cookies.get(COOKIE, ""))
    if parts is None or request.code is None:
        raise BadCredentials
    attempt = Attempt(*parts)
    if not secrets.compare_digest(attempt.state.encode(), request.state.encode()):
        raise BadCredentials
    person = await google.fetch_person(attempt, request.code, _redirect_uri(ctx))
    user = await come_back(ctx, await _find_or_add(ctx, person))
    if user is None:
        raise BadCredentials
    session = await open_session(ctx, user)
    return Reply(session.body, cookies=(Cookie(COOKIE, "", COOKIE_PATH, max_age=0),))


async def _find_or_add(ctx: Context, person: Person) -> accounts.User:
    user = await accounts.find_oauth_user(ctx.db, PROVIDER, person.subject)
    if user is not None:
        return user
    if not person.email or not person.email_verified:
        raise BadCredentials
    user = await accounts.find_user(ctx.db, person.email)
    link = {"oauth_provider": PROVIDER, "oauth_subject": person.subject}
    if user is not None:
        if user.oauth_subject is not None:
            # The address belongs to somebody whom the provider knows as another person.
            raise BadCredentials
        return await _link(ctx, user, link)
    user = await accounts.add_user(
        ctx.db,
        email=person.email,
        name=(person.name or person.email.partition("@")[0])[:100],
        role=Role.PATIENT,
        status=Status.ACTIVE,
        locale=ctx.locale,
        now=ctx.now,
        email_verified_at=ctx.now,
        **link,
    )
    if user is None:
        raise BadCredentials
    ctx.audit("account.registered", subject_id=user.id, role=user.role, provider=PROVIDER)
    ctx.enqueue(welcome, Registered(user_id=user.id))
    return user


async def _link(ctx: Context, user: accounts.User, link: dict[str, str]) -> accounts.User:
    """Join an account with the provider's person.

    Nobody had proved that the address was theirs: whoever registered it, perhaps to wait for its
    owner, must not stay signed in nor keep a password.
    """
    ctx.audit("account.linked", subject_id=user.id, provider=PROVIDER)
    if user.email_verified_at is not None:
        return await accounts.update_user(ctx.db, user.id, **link)
    await end_sessions(ctx, user.id)
    return await accounts.update_user(
        ctx.db, user.id, password_hash=None, email_verified_at=ctx.now, **link
    )


def _google(ctx: Context) -> OpenIdProvider:
    if ctx.runtime.google is None:
        raise NotFound
    return ctx.runtime.google


def _redirect_uri(ctx: Context) -> str:
    return f"{ctx.runtime.settings.public_url}/auth/google/callback"
