"""Addresses of the tracking pages."""

from django.urls import path

from tracking.views import debugger, dictionary, first_event

urlpatterns = [
    path("tracking/", debugger.page, name="debugger"),
    path("tracking/rows/", debugger.rows, name="debugger-rows"),
    path("tracking/events/", dictionary.page, name="event-dictionary"),
    path("tracking/first-event/", first_event.page, name="first-event"),
]
