"""Settings, read from the environment only. A malformed value stops the start with its name and what was expected."""

from pathlib import Path
from typing import Any

from celery.schedules import crontab

from config.env import Environment
from config.logs import logging_settings
from config.secret_key import kept_secret_key
from config.unfold import UNFOLD  # noqa: F401  read by django-unfold

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()

IS_PRODUCTION = env.choice("INKLING_ENV", "development", ["development", "production"]) == "production"
DATA_DIR = env.folder("INKLING_DATA_DIR", BASE_DIR / "var")
DEBUG = env.flag("INKLING_DEBUG", False)
HOST = env.text("INKLING_HOST", "127.0.0.1")
PORT = env.port("INKLING_PORT", 8000)
# Where keys that stream find their listeners' process; its address as clients see it, when a proxy gives it another.
STREAM_PORT = env.port("INKLING_STREAM_PORT", PORT + 1 if PORT < 65_535 else PORT - 1)
STREAM_URL = env.text("INKLING_STREAM_URL", "")
WEB_WORKERS = env.number("INKLING_WEB_WORKERS", 2, low=1, high=256)
# Wide, because a thread that waits for its events to be durable keeps others from nothing but itself.
WEB_THREADS = env.number("INKLING_WEB_THREADS", 32, low=1, high=1024)
JOB_WORKERS = env.number("INKLING_JOB_WORKERS", 2, low=1, high=256)
WANTS_DEMO = env.flag("INKLING_DEMO", not IS_PRODUCTION)
METRICS_TOKEN = env.secret("INKLING_METRICS_TOKEN", at_least=16)

# --- Where state lives -------------------------------------------------------------------------------------------------

DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'inkling.sqlite3'}")}
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Web, worker and beat share the file: WAL lets readers go on while one writes, IMMEDIATE avoids deadlocks.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INKLING_EVENT_STORE = env.text("INKLING_EVENT_STORE", "parquet")
INKLING_PREVIEW_DAYS = env.number("INKLING_PREVIEW_DAYS", 7, low=1, high=365)
INKLING_ANALYSIS_MINUTES = env.number("INKLING_ANALYSIS_MINUTES", 15, low=1, high=1440)

# --- Security ----------------------------------------------------------------------------------------------------------

if IS_PRODUCTION:
    env.demand("INKLING_SECRET_KEY", "production needs a secret of at least 50 random characters")
    env.demand("INKLING_ALLOWED_HOSTS", "production needs the host names it is reached by, separated by commas")
SECRET_KEY = env.secret("INKLING_SECRET_KEY", at_least=50) or ("" if IS_PRODUCTION else kept_secret_key(DATA_DIR))
ALLOWED_HOSTS = env.items("INKLING_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.origins("INKLING_CSRF_TRUSTED_ORIGINS")

HTTPS = env.flag("INKLING_HTTPS", IS_PRODUCTION)
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = env.number("INKLING_HSTS_SECONDS", 30 * 86_400 if HTTPS else 0, low=0, high=730 * 86_400)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
# Inkling's own server speaks plain HTTP, so in production a proxy that ends TLS stands before it and says so here.
if env.flag("INKLING_TRUST_PROXY", IS_PRODUCTION):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
# Whether browsers ship a domain as HTTPS-only is for the owner of the domain to ask, not for one application on it.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/reports/"
CSRF_FAILURE_VIEW = "reports.views.errors.csrf_failed"

# --- Django ------------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "auditlog",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config",
    "experiments",
    "tracking",
    "reports",
]
MIDDLEWARE = [
    "config.health.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
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
            ],
        },
    }
]
LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = env.folder("INKLING_STATIC_DIR", DATA_DIR / "static")
# Development serves files where they lie; production serves what `manage.py bootstrap` collected, compressed and hashed.
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

LOGGING = logging_settings(
    as_json=env.choice("INKLING_LOG_FORMAT", "json" if IS_PRODUCTION else "plain", ["plain", "json"]) == "json",
    level=env.choice("INKLING_LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR"]),
)

# --- Interfaces --------------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Inkling",
    "DESCRIPTION": "A/B testing for sites with little traffic: assignments, events and reports.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # The report document is JSON Schema, which OpenAPI speaks from 3.1 on.
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": ["reports.views.openapi.add_contract"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Jobs --------------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.address(
    "INKLING_BROKER_URL",
    "filesystem://",
    {"filesystem": "filesystem://", "redis": "redis://host:6379/0", "rediss": "rediss://:password@host:6379/0"},
)
if CELERY_BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_URL = "filesystem://localhost//"  # kombu wants a host; there is none
    MESSAGES = DATA_DIR / "broker"
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "data_folder_in": str(MESSAGES / "messages"),
        "data_folder_out": str(MESSAGES / "messages"),
        "control_folder": str(MESSAGES / "control"),
        "polling_interval": 0.3,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 3, "socket_timeout": 10}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "inkling"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 1800
# A page that enqueues a task answers soon even when the broker is away; the next beat tick finds the work anyway.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 1_500_000  # KiB
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
# A tick that found no worker in time is worth nothing, the next one says the same; so ticks never pile up.
CELERY_BEAT_SCHEDULE = {
    "compact": {"task": "tracking.compact", "schedule": 10.0, "options": {"expires": 10}},
    "analyse": {"task": "reports.analyse_due", "schedule": 60.0, "options": {"expires": 60}},
    "certify": {"task": "reports.certify_due", "schedule": 300.0, "options": {"expires": 300}},
    "rank": {
        "task": "reports.rank_proxies",
        "schedule": crontab(hour="2", minute="20"),
        "options": {"expires": 3600},
    },
    "learn": {
        "task": "reports.learn_proxies",
        "schedule": crontab(hour="2", minute="40"),
        "options": {"expires": 3600},
    },
    "expire": {"task": "tracking.expire", "schedule": crontab(hour="3", minute="10"), "options": {"expires": 3600}},
    "heartbeat": {"task": "config.heartbeat", "schedule": 10.0, "options": {"expires": 10}},
}

env.also_known("INKLING_SUPERVISED")
env.finish()
