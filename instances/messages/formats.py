"""A message as Slack, Discord and mail take it. Pure; what comes from outside is escaped and mentions nobody.

Slack: https://docs.slack.dev/reference/block-kit/blocks (header 150, section 3000, 50 blocks). Discord:
https://discord.com/developers/docs/resources/webhook#execute-webhook (content 2000, embed title 256, description 4096, an
embed 6000). Seen 2026-11-25.
"""

import re
from typing import Any

from instances.messages.message import Entry, Link, Message, cut
from instances.webhooks.kinds import Severity

_COLOURS = {Severity.INFO: 0x2F6FB3, Severity.WARNING: 0xC98A00, Severity.URGENT: 0xC62828}
_SIGNS = {Severity.INFO: "", Severity.WARNING: "⚠ ", Severity.URGENT: "🔴 "}
_SECTION, _HEADER, _CONTEXT = 3000, 150, 2000
_EMBED_TITLE, _DESCRIPTION, _CONTENT, _FIELD = 256, 4096, 2000, 1024
_SUBJECT = 150
_MARKDOWN = re.compile(r"([\\*_~`|>\[\]()#@<:-])")


def slack(message: Message) -> dict[str, Any]:
    title = _SIGNS[message.severity] + message.title
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(title, _HEADER), "emoji": False}}
    ]
    blocks += [{"type": "section", "text": _mrkdwn(_fitting(_slack_entry(one), _SECTION))} for one in message.entries]
    closing = [_more(message), _slack_link(message.home) if message.home else "", _slack_text(message.footer)]
    blocks.append({"type": "context", "elements": [_mrkdwn(cut(" · ".join(filter(None, closing)), _CONTEXT))]})
    return {"text": _slack_text(cut(title, _SECTION)), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def discord(message: Message) -> dict[str, Any]:
    description, left_out = "", 0
    for place, entry in enumerate(message.entries):
        text = _discord_entry(entry)
        if len(description) + len(text) + 2 > _DESCRIPTION - 80:
            left_out = len(message.entries) - place
            break
        description += ("\n\n" if description else "") + text
    more = _more(message, left_out)
    embed: dict[str, Any] = {
        "title": cut(message.title, _EMBED_TITLE),
        "description": description + (f"\n\n{more}" if more else ""),
        "color": _COLOURS[message.severity],
        "footer": {"text": message.footer},
    }
    if message.home:
        embed["url"] = message.home.url
    content = cut(_SIGNS[message.severity] + _discord_text(message.title), _CONTENT)
    return {"username": "novita-manager", "content": content, "embeds": [embed], "allowed_mentions": {"parse": []}}


def mail(message: Message) -> dict[str, str]:
    """{"subject", "text"}."""
    urgent = "URGENT: " if message.severity is Severity.URGENT else ""
    subject = " ".join(f"[novita-manager] {urgent}{message.title}".split())
    paragraphs = [_mail_entry(one) for one in message.entries]
    closing = "\n".join(filter(None, [_more(message), f"{message.home.label}: {message.home.url}" if message.home else ""]))
    text = "\n\n".join(filter(None, [*paragraphs, closing, f"-- \n{message.footer}"]))
    return {"subject": cut(subject, _SUBJECT), "text": text + "\n"}


def _more(message: Message, left_out: int = 0) -> str:
    more = message.more + left_out
    return f"and {more} more" if more else ""


def _fitting(lines: list[str], longest: int) -> str:
    """As many whole lines as fit; never a link cut in two."""
    text = ""
    for line in lines:
        if len(text) + len(line) + 1 > longest:
            break
        text += ("\n" if text else "") + line
    return text


def _mrkdwn(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def _slack_text(text: str) -> str:
    """Slack's three control characters: without them a text links nothing and mentions nobody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_link(link: Link) -> str:
    return f"<{link.url}|{_slack_text(link.label).replace('|', '¦')}>"


def _slack_entry(entry: Entry) -> list[str]:
    heading = _slack_link(Link(label=cut(entry.heading, 300), url=entry.url)) if entry.url else _slack_text(entry.heading)
    lines = [f"*{heading}*", _slack_text(" · ".join(entry.facts)), *map(_slack_text, entry.sentences)]
    return [*filter(None, lines), *([" · ".join(map(_slack_link, entry.links))] if entry.links else [])]


def _discord_text(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _discord_link(link: Link) -> str:
    return f"[{_discord_text(link.label)}]({link.url})"


def _discord_entry(entry: Entry) -> str:
    heading = cut(entry.heading, 300)
    first = _discord_link(Link(label=heading, url=entry.url)) if entry.url else _discord_text(heading)
    lines = [f"**{first}**", _discord_text(" · ".join(entry.facts)), *map(_discord_text, entry.sentences)]
    return "\n".join([*filter(None, lines), *([" · ".join(map(_discord_link, entry.links))] if entry.links else [])])


def _mail_entry(entry: Entry) -> str:
    lines = [entry.heading, "; ".join(entry.facts), *entry.sentences]
    links = [f"{link.label}: {link.url}" for link in entry.links]
    return "\n".join([*filter(None, lines), *links, *([entry.url] if entry.url else [])])
