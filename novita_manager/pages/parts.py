"""Parts of an instance's page that are asked for on their own: alone for its script, in a page of their own without it."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from instances.models import Instance


def instance_or_404(instance_id: UUID) -> Instance:
    found = Instance.objects.select_related("machine").filter(pk=instance_id).first()
    if found is None:
        raise Http404
    return found


def part(request: HttpRequest, template: str, context: dict[str, object], *, title: str, status: int = 200) -> HttpResponse:
    """The part itself where the page's script asks (`X-Part`), else the part in a page that leads back."""
    if request.headers.get("X-Part"):
        return render(request, template, context, status=status)
    return render(request, "instance/alone.html", {**context, "part": template, "title": title}, status=status)
