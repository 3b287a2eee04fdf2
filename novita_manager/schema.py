"""The OpenAPI description and a reader for it that needs nothing from outside."""

from csp.decorators import csp_update
from django.conf import settings
from django.utils.decorators import method_decorator
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer, TemplateHTMLRenderer
from rest_framework.response import Response

from novita_manager.authentication import ApiKeyAuthentication, PersonSession
from novita_manager.permissions import MayReadSchema

_READERS = [ApiKeyAuthentication, PersonSession]


class Schema(SpectacularAPIView):
    """JSON, or YAML where `Accept` or `?format=yaml` asks for it."""

    authentication_classes = _READERS
    permission_classes = [MayReadSchema]
    renderer_classes = [OpenApiJsonRenderer2, OpenApiYamlRenderer]
    content_negotiation_class = DefaultContentNegotiation


# Swagger's page sets style attributes; its scripts and styles are our own files.
@method_decorator(csp_update({"style-src": ["'self'", "'unsafe-inline'"]}), name="dispatch")
class Docs(SpectacularSwaggerSplitView):
    authentication_classes = _READERS
    permission_classes = [MayReadSchema]
    renderer_classes = [TemplateHTMLRenderer]

    def handle_exception(self, exc: Exception) -> Response:
        """As JSON: the page's template has no place for a problem."""
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), "application/json"
        return super().handle_exception(exc)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "novita_manager.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "novita_manager.authentication.PersonSession"
    name = "session"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
