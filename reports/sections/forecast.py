"""What was foreseen before the start, beside what happened."""

from __future__ import annotations

from dataclasses import dataclass

from reports.sections import numbers
from reports.sections.base import ReportInput, Section
from reports.sections.forecast_words import CertificateWords, certificate_words


@dataclass(frozen=True, slots=True)
class Forecast:
    """`happened` compares the traffic foreseen with that which came; `made` says when and with what it was simulated."""

    words: CertificateWords
    happened: str
    made: str


def build(report: ReportInput) -> Forecast | None:
    """Put the registered certificate into words; None where there is none."""
    certificate = report.certificate
    if certificate is None or certificate.result is None:
        return None
    zone = report.experiment.time_zone
    when = numbers.moment(certificate.finished_at, zone)
    made = (
        f"Simulated {when}, after the start, from the history before it."
        if certificate.is_late
        else f"Simulated {when}, before the start, and registered with it."
    )
    return Forecast(certificate_words(certificate.inputs, certificate.result), _happened(report), made)


def _happened(report: ReportInput) -> str:
    document, certificate, started_at = report.document, report.certificate, report.experiment.started_at
    if document is None or certificate is None or started_at is None:
        return ""
    foreseen = float(certificate.inputs["per_week"])
    visitors = sum(int(v["visitors"]) for v in document["variants"])
    days = int(document["days"])
    if days < 1:
        return ""
    return (
        f"Foreseen were {numbers.whole(foreseen)} visitors a week; {numbers.whole(visitors / days * 7)} a week came in the "
        f"{numbers.plural(days, 'day')} so far."
    )


FORECAST = Section(key="forecast", title="Foreseen", template="reports/sections/forecast.html", build=build)
