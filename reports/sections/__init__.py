"""The parts of a report, top to bottom. A new part is one file here, its template, and one line in `SECTIONS`."""

from reports.sections.base import Section
from reports.sections.exposures import EXPOSURES
from reports.sections.forecast import FORECAST
from reports.sections.funnel import FUNNEL
from reports.sections.headline import HEADLINE
from reports.sections.health import HEALTH
from reports.sections.method import METHOD
from reports.sections.metrics import METRICS
from reports.sections.over_time import OVER_TIME
from reports.sections.proxy import PROXY

SECTIONS: tuple[Section, ...] = (HEADLINE, HEALTH, METRICS, FUNNEL, PROXY, OVER_TIME, EXPOSURES, FORECAST, METHOD)
