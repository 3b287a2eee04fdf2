"""The OpenAPI description and a reader for it that needs nothing from outside."""

from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import TemplateHTMLRenderer

from novita_manager.authentication import ApiKeyAuthentication, StaffSession
from novita_manager.permissions import MayReadSchema

_READERS = [ApiKeyAuthentication, StaffSession]


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
