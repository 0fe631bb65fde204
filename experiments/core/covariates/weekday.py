"""The day of the week on which the visitor came."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from experiments.core.covariates.base import Covariate, CovariateValues, Known, indicators
from experiments.core.metrics import Column

QUARTER_HOUR_S = 900
QUARTER_HOUR_US = QUARTER_HOUR_S * 1_000_000
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class WeekdayKind:
    """The weekday of the first exposure, on the site's clock; it is never missing."""

    key = "weekday"
    example = "weekday"
    needs_name = False

    def column(self, covariate: Covariate) -> Column | None:
        return None

    def trait(self, covariate: Covariate) -> str | None:
        return None

    def values(self, covariate: Covariate, known: Known) -> CovariateValues:
        zone = ZoneInfo(known.time_zone)
        # Every clock in use changes on a quarter of an hour.
        quarters, place = np.unique(known.first_exposure // QUARTER_HOUR_US, return_inverse=True)
        days = [datetime.fromtimestamp(int(quarter) * QUARTER_HOUR_S, tz=zone).weekday() for quarter in quarters]
        weekday = np.array(days, dtype=np.int64)[place]
        return CovariateValues(indicators(covariate.text, weekday, DAYS, reference=0))
