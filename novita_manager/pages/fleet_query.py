"""What of the fleet a person asked to see, as its address says it. What makes no sense there is left out, never an error."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.expressions import Combinable

from instances.api.filters import InstanceFilter
from instances.lifecycle import Phase
from instances.models import Alarm
from instances.models.instance import BillingMode, InstanceQuerySet

PAGE_ROWS = 50
ENDED_STAY = timedelta(hours=1)
_TROUBLE = (Phase.FAILED, Phase.UNHEALTHY, Phase.UNKNOWN, Phase.RECLAIMING)

SHOWS = {
    "": "everything",
    "billed": "what is billed now",
    "attention": "what needs attention",
    "idle": "what is idle",
    "unmanaged": "what is not managed",
    "ended": "what has ended",
}
# By the name in the address: the columns of an ascending order; "-" before the name turns it round.
SORTS = {
    "name": "name",
    "phase": "phase",
    "product": "machine__product_name",
    "price": "machine__billed_price_usd_per_hour",
    "idle": "auto_stop_evaluation__idle_since",
    "owner": "owner",
    "created": "created_at",
    "read": "machine__observed_at",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetQuery:
    text: str = ""
    show: str = ""
    phase: str = ""
    region: str = ""
    billing: str = ""
    owner: str = ""
    sort: str = ""
    page: int = 1

    @property
    def is_narrow(self) -> bool:
        return any((self.text, self.show, self.phase, self.region, self.billing, self.owner))

    def address(self, **changes: object) -> str:
        """`?q=...` of this query with some of it changed; empty for the plain one."""
        asked = replace(self, **changes)  # type: ignore[arg-type]
        given = {
            "q": asked.text,
            "show": asked.show,
            "phase": asked.phase,
            "region": asked.region,
            "billing": asked.billing,
            "owner": asked.owner,
            "sort": asked.sort,
            "page": asked.page if asked.page > 1 else "",
        }
        words = urlencode({name: value for name, value in given.items() if value})
        return f"?{words}" if words else ""

    def sorted_by(self, column: str) -> str:
        """The address that sorts by the column, or turns its order round where it does so already."""
        return self.address(sort=f"-{column}" if self.sort == column else column, page=1)


def query_of(given: Mapping[str, str]) -> FleetQuery:
    number = given.get("page", "")
    sort = given.get("sort", "")
    return FleetQuery(
        text=given.get("q", "").replace("\0", "").strip()[:100],
        show=given.get("show", "") if given.get("show") in SHOWS else "",
        phase=given.get("phase", "") if given.get("phase") in Phase.values else "",
        region=given.get("region", "").replace("\0", "")[:255],
        billing=given.get("billing", "") if given.get("billing") in BillingMode.values else "",
        owner=given.get("owner", "").replace("\0", "")[:255],
        sort=sort if sort.removeprefix("-") in SORTS else "",
        page=min(int(number), 100_000) if number.isascii() and number.isdigit() and int(number[:9]) > 0 else 1,
    )


def chosen_rows(rows: InstanceQuerySet, query: FleetQuery, now: datetime) -> InstanceQuerySet:
    """The instances that fit, in their order. What ended stays in sight for an hour."""
    given = {
        "include_ended": "true",
        "search": query.text,
        "phase": query.phase,
        "region": query.region,
        "billing_mode": query.billing,
        "owner": query.owner,
    }
    found: InstanceQuerySet = InstanceFilter({name: text for name, text in given.items() if text}, queryset=rows).qs
    if query.show == "ended":
        found = found.filter(ended_at__isnull=False)
    elif not query.phase:
        found = found.filter(Q(ended_at=None) | Q(ended_at__gte=now - ENDED_STAY))
    found = _shown_only(found, query.show)
    return found.order_by(*_order(query.sort))


def _shown_only(rows: InstanceQuerySet, show: str) -> InstanceQuerySet:
    if show == "billed":
        return rows.filter(machine__billed_since__isnull=False)
    if show == "idle":
        return rows.filter(auto_stop_evaluation__idle_since__isnull=False, machine__billed_since__isnull=False)
    if show == "unmanaged":
        return rows.filter(managed=False)
    if show == "attention":
        open_alarms = Alarm.objects.filter(instance=OuterRef("pk"), cleared_at=None)
        return rows.filter(Q(phase__in=_TROUBLE) | Exists(open_alarms))
    return rows


def _order(sort: str) -> list[str | Combinable]:
    column = F(SORTS.get(sort.removeprefix("-"), "created_at"))
    descending = sort.startswith("-") or not sort
    first = column.desc(nulls_last=True) if descending else column.asc(nulls_last=True)
    # What has ended comes last, whatever is sorted by; the id makes the order total.
    return [F("ended_at").desc(nulls_first=True), first, "id"]
