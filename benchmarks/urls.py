"""The product's addresses, and a view that does nothing: what any view costs on this server, its log line included."""

from django.http import HttpRequest, JsonResponse
from django.urls import URLPattern, URLResolver, include, path

from novita_manager.urls import handler404, handler500

__all__ = ["handler404", "handler500", "urlpatterns"]


def bare(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "live"})


urlpatterns: list[URLPattern | URLResolver] = [path("bare", bare), path("", include("novita_manager.urls"))]
