"""The story of an instance by days, the newest first: what happened, who did it and why, and the job it belongs to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from uuid import UUID

from instances.models import Event
from instances.story import Told, sentence, who

PER_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryLine:
    """One event. `why` is empty where the sentence says it already."""

    id: int
    at: datetime
    text: str
    who: str
    why: str
    job_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    date: date
    lines: tuple[StoryLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryPage:
    """`older` is the event before which the next page goes on, None at the beginning of the story."""

    days: tuple[Day, ...]
    older: int | None


def story_page(instance_id: UUID, *, before: int | None = None) -> StoryPage:
    """The newest lines, or those before an event; one query."""
    events = Event.objects.filter(instance_id=instance_id)
    if before is not None:
        events = events.filter(pk__lt=before)
    found = list(events[: PER_PAGE + 1])
    shown = found[:PER_PAGE]
    return StoryPage(days=_by_day(map(_line, shown)), older=shown[-1].pk if len(found) > PER_PAGE else None)


def _by_day(lines: Iterable[StoryLine]) -> tuple[Day, ...]:
    return tuple(
        Day(date=day, lines=tuple(of_day)) for day, of_day in groupby(lines, key=lambda line: line.at.astimezone(UTC).date())
    )


def _line(event: Event) -> StoryLine:
    text = sentence(
        Told(
            type=event.type,
            actor_kind=event.actor_kind,
            actor_name=event.actor_name,
            reason=event.reason,
            before=event.before,
            after=event.after,
        )
    )
    return StoryLine(
        id=event.pk,
        at=event.at,
        text=text[:1].upper() + text[1:],
        who=who(event.actor_kind, event.actor_name),
        why="" if event.reason.casefold() == text.casefold() else event.reason,
        job_id=event.job_id,
    )
