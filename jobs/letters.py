"""Letters to people: one frame, as text and as HTML."""

from html import escape

from server.services import Mail

FRAME = """<!doctype html>
<html lang="{locale}"><meta charset="utf-8">
<body style="font-family:sans-serif;max-width:36em;margin:2em auto;line-height:1.5">
{paragraphs}
</body></html>
"""


def write_letter(
    *,
    to: str,
    locale: str,
    subject: str,
    text: str,
    message_id: str,
    unsubscribe: str | None = None,
) -> Mail:
    """A letter whose HTML says what its text says; a line that is a link is one."""
    paragraphs = "\n".join(map(_write_paragraph, text.strip().split("\n\n")))
    return Mail(
        to=to,
        subject=subject,
        text=text,
        message_id=message_id,
        html=FRAME.format(locale=locale, paragraphs=paragraphs),
        unsubscribe=unsubscribe,
    )


def _write_paragraph(text: str) -> str:
    safe = escape(text)
    if safe.startswith(("http://", "https://")) and " " not in safe:
        safe = f'<a href="{safe}">{safe}</a>'
    return f"<p>{safe}</p>"
