"""What a person in need is shown at once."""

from handlers.assessments.declared import READ_RATE, assessments
from handlers.assessments.payloads import Contact, Crisis
from server import texts
from server.context import Context
from server.contract import EVERYONE
from server.payload import Nothing


@assessments.on("crisis:get", roles=EVERYONE, rate=READ_RATE, reads=True)
async def get_crisis(ctx: Context, request: Nothing) -> Crisis:
    """Where to turn to in need: the contacts of the person's language, if any are set."""
    return write_crisis(ctx)


def write_crisis(ctx: Context) -> Crisis:
    locale = texts.choose(ctx.locale)
    contacts = ctx.runtime.settings.crisis_contacts.get(locale, ())
    text = "crisis.text" if contacts else "crisis.text_without_contacts"
    return Crisis(
        title=texts.get("crisis.title", locale),
        text=texts.get(text, locale),
        contacts=[Contact(name=one.name, phone=one.phone, url=one.url) for one in contacts],
    )
