"""The event files in the admin: to look at, not to touch."""

from __future__ import annotations

import pytest
from django.test import Client

from tracking.models import EventFile

pytestmark = pytest.mark.django_db


def test_event_files__administrator__sees_them_and_cannot_change_them(admin_client: Client) -> None:
    file = EventFile.objects.create(
        site="shop", day="2026-02-16", path="files/x", rows=1234, size_bytes=5000, first_time=1, last_time=2
    )
    page = admin_client.get("/admin/tracking/eventfile/")
    assert page.status_code == 200
    assert "4.9" in page.content.decode()
    assert admin_client.get("/admin/tracking/eventfile/add/").status_code == 403
    assert admin_client.post(f"/admin/tracking/eventfile/{file.pk}/change/", {"rows": 1}).status_code == 403
    assert admin_client.post(f"/admin/tracking/eventfile/{file.pk}/delete/", {"post": "yes"}).status_code == 403
