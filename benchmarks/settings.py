"""The product's settings, with a bare view beside its own."""

from novita_manager.settings import *  # noqa: F403 - every setting, as it is

ROOT_URLCONF = "benchmarks.urls"
