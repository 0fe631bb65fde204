"""The scheduler's Celery application: it sends tasks by name, so it loads neither tasks nor Django's models."""

from celery import Celery

from config.celery import make_message_folders

app = Celery("inkling-scheduler", fixups=[])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.on_after_configure.connect(make_message_folders)
