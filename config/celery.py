"""The Celery application. Tasks carry no data and no state: each tick says only "look for due work"."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("inkling")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
