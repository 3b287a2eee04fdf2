from django.urls import include, path

from autostop import api

urlpatterns = [path("api/v1/", include(api.urlpatterns))]
