"""Addresses of reports: pages under /reports/, results for programs under /api/v1/, their description under /api/."""

from django.urls import path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from reports.views import api, pages, planner, proxies

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="report-list"), name="home"),
    path("reports/", pages.report_list, name="report-list"),
    # Before the reports; no experiment may have such a key.
    path("reports/planner/", planner.planner, name="planner"),
    path("reports/proxies/", proxies.proxies, name="proxies"),
    path("reports/proxies/rank/", proxies.rank_now, name="proxies-rank"),
    path("reports/proxies/<str:metric>/", proxies.proxy, name="proxy"),
    path("reports/planner/simulate/", planner.simulate, name="planner-simulate"),
    path("reports/<str:key>/", pages.report, name="report"),
    path("reports/<str:key>/analyse/", pages.analyse_now, name="report-analyse"),
    path("reports/<str:key>/ship/", pages.ship, name="report-ship"),
    path("reports/<str:key>/report.json", pages.report_json, name="report-json"),
    path("reports/<str:key>/report.csv", pages.report_csv, name="report-csv"),
    path("reports/<str:key>/bundle.json", pages.report_bundle, name="report-bundle"),
    path("reports/<str:key>/runs/<int:run_id>/", pages.report_run, name="report-run"),
    path("api/v1/experiments", api.ExperimentList.as_view(), name="api-experiments"),
    path("api/v1/experiments/<str:key>/report", api.ExperimentReport.as_view(), name="api-report"),
    path("api/v1/experiments/<str:key>/runs/<int:run_id>", api.ExperimentRun.as_view(), name="api-run"),
    path("api/v1/proxies", proxies.ProxyList.as_view(), name="api-proxies"),
    path("api/v1/proxies/<str:metric>", proxies.ProxyDetail.as_view(), name="api-proxy"),
    path("api/v1/plan", planner.Plan.as_view(), name="api-plan"),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="api-schema"), name="api-docs"),
]
