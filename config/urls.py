"""Which address belongs to whom. `config.front` answers the client API before Django does; here is its other door."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from config import client_api

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(next_page="report-list"), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("", include(client_api)),
    path("demo/", include("tracking.demo_shop.urls")),
    path("", include("tracking.views.urls")),
    path("", include("reports.urls")),
]

handler403 = "reports.views.errors.forbidden"
handler404 = "reports.views.errors.not_found"
handler500 = "reports.views.errors.server_error"
