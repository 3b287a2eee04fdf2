"""Who may look inside: monitors in HEALTH_ALLOWED_NETWORKS, and whoever has a key with the read scope."""

from typing import Any

from django.conf import settings
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from novita_manager.authentication import ApiKeyAuthentication
from novita_manager.proxies import came_by_unknown_proxy, is_in


class MonitorView(APIView):
    """A view that monitors read. It is no part of the API that the schema describes, and has no request budget."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        address = request.META.get("REMOTE_ADDR", "")
        if is_in(address, settings.HEALTH_ALLOWED_NETWORKS) and not came_by_unknown_proxy(request._request):
            return
        found = ApiKeyAuthentication().authenticate(request)
        if found is None:
            raise NotAuthenticated()
        if not found[1].has_scope("read"):
            self.permission_denied(request, "this API key lacks the scope 'read'")

    def get_authenticate_header(self, request: Request) -> str:
        return ApiKeyAuthentication().authenticate_header(request)
