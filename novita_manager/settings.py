"""One settings file; environments differ by variables only. Every variable is listed with its default in README.md."""

import json
import logging
import re
import secrets
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from novita_manager.admin_theme import UNFOLD as UNFOLD
from novita_manager.environment import Environment
from novita_manager.keyfiles import kept_secret
from novita_manager.logs import configure
from novita_manager.public_address import host_of, origin_of, path_prefix
from novita_manager.redis_address import redis_address

env = Environment()

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

# --- core -----------------------------------------------------------------------------------------------------------
_ENVIRONMENTS = ("development", "production", "test")
ENVIRONMENT = env.choice("ENVIRONMENT" if env.text("ENVIRONMENT") else "NODE_ENV", "development", _ENVIRONMENTS)
PRODUCTION = ENVIRONMENT == "production"
DEBUG = False
PORT = env.integer("PORT", 3000, minimum=1, maximum=65535)
LOG_LEVEL = env.choice(
    "LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "debug", "info", "warning", "error")
).upper()
LOG_FORMAT = env.choice("LOG_FORMAT", "json" if PRODUCTION else "console", ("json", "console"))
LOGGING_CONFIG = "novita_manager.logs.configure"
LOGGING = {"level": LOG_LEVEL, "format": LOG_FORMAT}

NOVITA_API_KEY = env.text("NOVITA_API_KEY")
# Without a provider key the embedded simulator plays Novita; production never falls back to it.
SIMULATED = not NOVITA_API_KEY and not PRODUCTION
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).resolve()
ACCOUNT_DIR = DATA_DIR / ("simulator" if SIMULATED else "novita")

# Addresses the embedded supervisor chose, so that a command in another terminal meets the same broker and simulator.
EMBEDDED_FILE = ACCOUNT_DIR / "embedded.json"
try:
    EMBEDDED: dict[str, str] = json.loads(EMBEDDED_FILE.read_text(encoding="utf-8")) if not PRODUCTION else {}
except (OSError, ValueError):
    EMBEDDED = {}

NOVITA_API_BASE_URL = env.url("NOVITA_API_BASE_URL") or (
    EMBEDDED.get("simulator_url", "http://127.0.0.1:3900") if SIMULATED else "https://api.novita.ai"
)
ACCOUNT_NAME = "simulator" if SIMULATED else NOVITA_API_BASE_URL

if PRODUCTION and not NOVITA_API_KEY:
    raise ImproperlyConfigured("NOVITA_API_KEY is not set: production needs the key of your Novita account")
SECRET_KEY = env.text("SECRET_KEY")
if not SECRET_KEY:
    if PRODUCTION:
        raise ImproperlyConfigured("SECRET_KEY is not set: write 50 or more random characters")
    SECRET_KEY = kept_secret(DATA_DIR / "secret_key", lambda: secrets.token_urlsafe(64))
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "" if PRODUCTION else "*")
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS is not set: write the host names people use, split by commas")
FIELD_ENCRYPTION_KEYS = env.words("FIELD_ENCRYPTION_KEYS")
if not FIELD_ENCRYPTION_KEYS:
    if PRODUCTION:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEYS is not set: write a key made by "
            "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
        )
    FIELD_ENCRYPTION_KEYS = [kept_secret(DATA_DIR / "field_encryption_key", lambda: Fernet.generate_key().decode())]
for _key in FIELD_ENCRYPTION_KEYS:
    try:
        Fernet(_key)
    except ValueError:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS: each key is 32 bytes in URL-safe base64") from None
BOOTSTRAP_ADMIN_PASSWORD = env.text("BOOTSTRAP_ADMIN_PASSWORD")
BOOTSTRAP_API_KEY = env.text("BOOTSTRAP_API_KEY")
if BOOTSTRAP_API_KEY and len(BOOTSTRAP_API_KEY) < 32:
    raise ImproperlyConfigured("BOOTSTRAP_API_KEY is too short: write 32 characters or more")

# --- instances ------------------------------------------------------------------------------------------------------
INSTANCE_POLL_INTERVAL = env.duration("INSTANCE_POLL_INTERVAL", "30s", bare="s")
INSTANCE_STARTUP_TIMEOUT = env.duration("INSTANCE_STARTUP_TIMEOUT", "10m", bare=None)
INSTANCE_PULL_TIMEOUT = env.duration("INSTANCE_PULL_TIMEOUT", "30m", bare=None)
DEFAULT_REGION = env.text("DEFAULT_REGION", "CN-HK-01")
HEALTH_CHECK_INTERVAL = env.duration("HEALTH_CHECK_INTERVAL", "60s", bare="s")
SETTLE_PERIOD = env.duration("SETTLE_PERIOD", "60s", bare="s")
JOB_LEASE = env.duration("JOB_LEASE", "60s", bare="s")
ALIVE_FILE = env.text("ALIVE_FILE")
STOP_GRACE = env.duration("STOP_GRACE", "20s", bare="s")
MIN_BALANCE_USD = env.money("MIN_BALANCE_USD", "0")

# --- provider manners -----------------------------------------------------------------------------------------------
NOVITA_REQUESTS_PER_MINUTE = env.integer("NOVITA_REQUESTS_PER_MINUTE", 100, minimum=1)
NOVITA_CONNECT_TIMEOUT = env.duration("NOVITA_CONNECT_TIMEOUT", "5s", bare="s", minimum="0.1s")
NOVITA_READ_TIMEOUT = env.duration("NOVITA_READ_TIMEOUT", "30s", bare="s", minimum="0.1s")
NOVITA_RETRY_ATTEMPTS = env.integer("NOVITA_RETRY_ATTEMPTS", 3, minimum=1, maximum=20)
NOVITA_RETRY_DELAY = env.duration("NOVITA_RETRY_DELAY", "1s", bare="s", minimum="0s")
NOVITA_BREAKER_FAILURES = env.integer("NOVITA_BREAKER_FAILURES", 5, minimum=1)
NOVITA_BREAKER_RESET = env.duration("NOVITA_BREAKER_RESET", "60s", bare="s")
if NOVITA_CONNECT_TIMEOUT + NOVITA_READ_TIMEOUT + timedelta(seconds=10) > JOB_LEASE:
    raise ImproperlyConfigured(
        "JOB_LEASE is too short: it must exceed NOVITA_CONNECT_TIMEOUT + NOVITA_READ_TIMEOUT by 10 s, "
        "or a call could outlive the claim that made it"
    )

# --- auto-stop and migration ----------------------------------------------------------------------------------------
AUTO_STOP_INTERVAL = env.duration("AUTO_STOP_INTERVAL", "5m", bare=None)
AUTO_STOP_THRESHOLD = env.duration("AUTO_STOP_THRESHOLD", "20m", bare=None)
AUTO_STOP_GPU_PERCENT = env.number("AUTO_STOP_GPU_PERCENT", 5, minimum=0, maximum=100)
AUTO_STOP_CPU_CORES = env.number("AUTO_STOP_CPU_CORES", 0.5, minimum=0)
AUTO_STOP_POLICY_EXISTS = "autostop.policies.policy_exists"  # asked by the room below
AUTO_STOP_POLICY_TOLD = "autostop.policies.policy_told"
MIGRATION_ENABLED = env.flag("MIGRATION_ENABLED", True)
MIGRATION_INTERVAL = env.duration("MIGRATION_INTERVAL_MINUTES", "15", bare="m")
MIGRATION_COOL_DOWN = env.duration("MIGRATION_COOL_DOWN", "10m", bare="m", minimum="0s")
MIGRATION_MOST_PER_PASS = env.integer("MIGRATION_MOST_PER_PASS", 0, minimum=0)  # 0: at most 5, or 20 % of the spot instances

# --- outside --------------------------------------------------------------------------------------------------------
PUBLIC_URL = env.url("PUBLIC_URL")
PATH_PREFIX = path_prefix(PUBLIC_URL)
FORCE_SCRIPT_NAME = PATH_PREFIX or None
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS", subdomains=True)
if PUBLIC_URL:
    CSRF_TRUSTED_ORIGINS += [origin_of(PUBLIC_URL)]
    ALLOWED_HOSTS += [host_of(PUBLIC_URL)]
CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS")
HEALTH_ALLOWED_NETWORKS = env.networks("HEALTH_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128")
HEARTBEAT_URL = env.url("HEARTBEAT_URL")
WEBHOOK_URL = env.receiver("WEBHOOK_URL")
WEBHOOK_SECRETS = env.signing_secrets("WEBHOOK_SECRET")
WEBHOOK_ALLOWED_NETWORKS = env.networks("WEBHOOK_ALLOWED_NETWORKS")
# Functions that make a message's links that act, by path: each takes an event and gives {"label", "url"} rows.
MESSAGE_LINKS = ["autostop.notices.links_of_event"]
EMAIL = env.email("EMAIL_URL")
RATE_LIMIT_WRITE = env.rate("RATE_LIMIT_WRITE", "300/m")
RATE_LIMIT_READ = env.rate("RATE_LIMIT_READ", "1200/m")
RATE_LIMIT_LAST_USED = "6000/m"
RATE_LIMIT_HEARTBEAT = "30/m"
RATE_LIMIT_WRONG_LINK = "30/m"
RATE_LIMIT_SIGN_IN = env.rate("RATE_LIMIT_SIGN_IN", "10/m")

# --- redis ----------------------------------------------------------------------------------------------------------
REDIS_URL = redis_address(
    env.text("REDIS_URL"), env.url("UPSTASH_REDIS_REST_URL"), env.text("UPSTASH_REDIS_REST_TOKEN")
) or EMBEDDED.get("redis_url", "")
REDIS_ENABLE_FALLBACK = env.flag("REDIS_ENABLE_FALLBACK", True)

_unknown = env.unknown(("NOVITA_", "AUTO_STOP_", "MIGRATION_"))
if _unknown:
    configure(LOGGING)  # as Django does later: this line has the form of all others
    for _name in _unknown:
        logging.getLogger(__name__).warning("%s is set but no such setting exists: see the table in README.md", _name)

# --- Django ---------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "instances",
    "autostop",
    "sync",
    "novita_manager",
]
MIDDLEWARE = [
    "novita_manager.middleware.RequestLog",
    "novita_manager.middleware.Cors",
    "novita_manager.entity_tags.EntityTags",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "novita_manager.content_policy.ContentPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "novita_manager.urls"
WSGI_APPLICATION = "novita_manager.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "novita_manager.page_context.everywhere",
            ]
        },
    }
]
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{ACCOUNT_DIR / 'novita_manager.sqlite3'}")}
SQLITE = str(DATABASES["default"]["ENGINE"]).endswith("sqlite3")
if SQLITE:
    # Write intents must survive a power cut (synchronous=FULL); writers queue up instead of failing (IMMEDIATE, 20 s).
    # A short write-ahead log is soon written over in place: while it still grows, a commit takes about twice as long.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000; PRAGMA wal_autocheckpoint=250;"
        ),
    }
    # Opening the file and its write-ahead log anew for each request would cost more than most of its answers.
    DATABASES["default"]["CONN_MAX_AGE"] = 600
    Path(str(DATABASES["default"]["NAME"])).parent.mkdir(parents=True, exist_ok=True)
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    _given = DATABASES["default"].get("OPTIONS")
    DATABASES["default"]["OPTIONS"] = {
        **(_given if isinstance(_given, dict) else {}),
        # After two seconds in vain the next who asks tries anew: its own gaps would grow to minutes in a long outage.
        "pool": {"min_size": 1, "max_size": 40, "timeout": 5, "reconnect_timeout": 2},
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES: dict[str, dict[str, object]] = {
    "default": {
        "BACKEND": "novita_manager.caching.LocalCache",
        "LOCATION": "default",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}
if REDIS_URL:
    CACHES["default"] = {
        "BACKEND": "novita_manager.caching.RedisThenLocalCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1},
    }
    CACHES["counters"] = {"BACKEND": "novita_manager.counters.SharedCounters", "LOCATION": "default"}
    RATELIMIT_USE_CACHE = "counters"
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.W001", "django_ratelimit.E003"]
RATELIMIT_FAIL_OPEN = True

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "novita_manager.session_people.PeopleBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_VERBOSE = False
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the time that is told is the time that is waited
AXES_DISABLE_ACCESS_LOG = True  # our own events tell who signed in
AXES_ENABLE_ADMIN = False  # we show what it keeps in our own way
AXES_LOCKOUT_CALLABLE = "novita_manager.pages.sign_in.lockout_answer"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "fleet"
CSRF_FAILURE_VIEW = "novita_manager.pages.sign_in.stale_form"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = PATH_PREFIX or "/"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # in cookies they would leave the path above
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5100  # a whole fleet ticked in one form, see pages.many
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
if PRODUCTION:
    SECURE_SSL_REDIRECT = urlsplit(PUBLIC_URL).scheme != "http"
    # Monitors ask inside, without TLS, with the path of PUBLIC_URL or without it.
    SECURE_REDIRECT_EXEMPT = [rf"^({re.escape(PATH_PREFIX[1:])}/)?(health(/|$)|metrics$)"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT

if EMAIL:
    EMAIL_BACKEND = str(EMAIL["EMAIL_BACKEND"])
    EMAIL_HOST, EMAIL_PORT = str(EMAIL["EMAIL_HOST"]), int(str(EMAIL["EMAIL_PORT"] or 25))
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = str(EMAIL["EMAIL_HOST_USER"]), str(EMAIL["EMAIL_HOST_PASSWORD"])
    EMAIL_USE_TLS, EMAIL_USE_SSL = bool(EMAIL.get("EMAIL_USE_TLS")), bool(EMAIL.get("EMAIL_USE_SSL"))
    EMAIL_FILE_PATH = str(EMAIL["EMAIL_FILE_PATH"])
    DEFAULT_FROM_EMAIL = str(EMAIL["FROM"]) or f"novita-manager@{urlsplit(PUBLIC_URL).hostname or 'localhost'}"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = "novita_manager.formats"

STATIC_URL = f"{PATH_PREFIX}/static/"
STATIC_ROOT = BASE_DIR / "static-collected"
STATICFILES_DIRS = [BASE_DIR / "novita_manager" / "static"]
WHITENOISE_USE_FINDERS = not PRODUCTION
if PRODUCTION:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "novita_manager.authentication.ApiKeyAuthentication",
        "novita_manager.authentication.PersonSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["novita_manager.permissions.HasScope", "novita_manager.permissions.StoresAnswer"],
    "DEFAULT_THROTTLE_CLASSES": ["novita_manager.throttling.RequestLimit"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["novita_manager.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "novita_manager.parsers.AlwaysJSON",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_PAGINATION_CLASS": "instances.api.pagination.LimitOffset",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "novita_manager.openapi.auto_schema.DescribedView",
    "EXCEPTION_HANDLER": "novita_manager.errors.problem_response",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "novita-manager",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_PATCH": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "novita_manager.openapi.components.with_components",
        "novita_manager.openapi.webhooks.with_webhooks",
    ],
    "ENUM_NAME_OVERRIDES": {
        "DeliveryStateEnum": "instances.models.webhook.DeliveryState.values",
        "SeverityEnum": "instances.webhooks.kinds.Severity.values",
        "ModeEnum": "instances.models.instance.AutoStopMode.values",
        "PolicyModeEnum": "autostop.models.PolicyMode.values",
        "ScheduleModeEnum": "autostop.schedule.MODES",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
