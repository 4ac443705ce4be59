"""Out of letters: a link that ends them, for people and for mail programs (RFC 8058)."""

from datetime import timedelta
from html import escape
from urllib.parse import urlencode

from handlers.notifications.declared import notifications
from handlers.notifications.kinds import KINDS
from handlers.notifications.payloads import Unsubscribe
from handlers.notifications.preferences import get_switches
from server import texts
from server.bodies import Html
from server.context import Context
from server.contract import PUBLIC
from server.errors import NotFound
from server.limits import Rate
from storage import accounts
from storage import notifications as feed

RATE = Rate(30, per=60)
PURPOSE = "unsubscribe"
LIFETIME = timedelta(days=3650)
"""Letters are kept for years, and the link in them is to work."""


@notifications.route("GET", "/unsubscribe", roles=PUBLIC, rate=RATE, reads=True)
async def show_unsubscribe(ctx: Context, request: Unsubscribe) -> Html:
    """A page that asks. It changes nothing: mail scanners follow every link.

    Raises: not_found.
    """
    _read(ctx, request.token)
    button = escape(texts.get("unsubscribe.button", ctx.locale))
    form = f'<form method="post"><button type="submit">{button}</button></form>'
    return _page(ctx, texts.get("unsubscribe.question", ctx.locale), form)


@notifications.route("POST", "/unsubscribe", roles=PUBLIC, rate=RATE, in_query=True)
async def unsubscribe(ctx: Context, request: Unsubscribe) -> Html:
    """Send no more letters of this type to this person.

    Raises: not_found.
    """
    user_id, kind = _read(ctx, request.token)
    if await accounts.get_user(ctx.db, user_id) is None:
        raise NotFound
    switches = await get_switches(ctx, user_id, KINDS[kind])
    await feed.set_preference(
        ctx.db, user_id, kind, in_app=switches.in_app, push=switches.push, email=False
    )
    ctx.audit("notifications.unsubscribed", subject_id=user_id, type=kind)
    return _page(ctx, texts.get("unsubscribe.done", ctx.locale), "")


def write_link(ctx: Context, user_id: int, kind: str) -> str:
    token = ctx.runtime.tokens.seal(PURPOSE, [str(user_id), kind], LIFETIME, ctx.now)
    return f"{ctx.runtime.settings.public_url}/unsubscribe?{urlencode({'token': token})}"


def _read(ctx: Context, token: str) -> tuple[int, str]:
    parts = ctx.runtime.tokens.unseal(PURPOSE, token)
    if parts is None or parts[1] not in KINDS:
        raise NotFound
    return int(parts[0]), parts[1]


def _page(ctx: Context, text: str, form: str) -> Html:
    return Html(
        f'<!doctype html><html lang="{ctx.locale}"><meta charset="utf-8"><title>Emotrack</title>'
        f"<body><p>{escape(text)}</p>{form}</body></html>"
    )
