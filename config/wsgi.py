"""WSGI entry point: Django behind the front that answers the client API's hot addresses."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_wsgi_application()

# These read models, which exist only now that Django is set up.
from config.front import Front  # noqa: E402
from experiments.selectors import live  # noqa: E402
from experiments.services.sites import note_key_use  # noqa: E402

application = Front(django_application, before_each=lambda: live.start(note_key_use))
