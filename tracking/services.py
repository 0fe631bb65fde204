"""Writing what happened: taking events in, moving them into the store, deleting them again."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from experiments.core.bots import declares_bot
from experiments.core.protocol import ApiError
from tracking import journal
from tracking.core.events import EXPOSURE, ROBOT
from tracking.core.intake import Judgement, judge
from tracking.core.timestamps import day_number, iso_day, parse_time, to_us
from tracking.models import ConsumedSegment
from tracking.recent import RecentIds
from tracking.sealing import waiting_segments
from tracking.segments import Folders, encode_lines, writer_for
from tracking.selectors import event_store, events_root, parquet_store
from tracking.stores.compaction import CompactionSummary

_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FORGET_SEGMENTS_AFTER = timedelta(days=7)

_recent = RecentIds()


def ingest(
    *,
    site: str,
    events: Iterable[object],
    sent_at: str | int | float | None = None,
    now_us: int,
    retention_days: int | None = None,
    source: str = "",
    user_agent: str = "",
) -> Judgement:
    """Judge a batch and make what is accepted durable; when this returns it survives `kill -9` of every process.

    `events` are what `tracking.core.intake.judge` takes: JSON texts, dicts or `Event`s. Duplicates are recognised within
    the batch and among the ids this process accepted lately; the store makes the exact check, by event id within the
    event's UTC day, so whatever slips through here is still counted once.

    What a `user_agent` that calls itself a robot sent is stored like everything else and marked, so that it counts nowhere unless it is
    asked for.

    Units: `now_us` in microseconds since 1970 UTC; `retention_days=None` takes events of any age.
    Raises: ApiError 400 `sent_at_malformed`; IntakeUnavailable (503) when nothing could be made durable.
    """
    _require_site(site)
    if user_agent and declares_bot(user_agent):
        source = f"{ROBOT}{source}"
    judgement = judge(
        events,
        now_us=now_us,
        id_prefix=_new_prefix(now_us),
        sent_at_us=_sent_at(sent_at),
        retention_days=retention_days,
        source=source,
        already_seen=_recent.of(site),
    )
    if judgement.accepted:
        writer_for(events_root()).append(encode_lines(site, judgement.accepted))
        _recent.add(site, judgement.ids)
    raw = events if isinstance(events, list) else None
    journal.note_judgement(site, source, raw, judgement, now_us=now_us, root=events_root())
    return judgement


def note_refused(address: str, error: ApiError) -> None:
    """Keep a request that was refused as a whole where people who set up tracking see it."""
    # The address may hold a key, and a wrong one may be somebody's secret.
    shown = address if len(address) < 60 else f"{address[:57]}..."
    journal.note_refusal(
        re.sub(r"ink_\w+", "ink_…", shown),
        error.code,
        error.message,
        error.advice,
        now_us=time.time_ns() // 1000,
        root=events_root(),
    )


def note_no_trace(*, site: str, source: str, events: int) -> None:
    """Say in the journal that events were not stored because their visitor's browser asks for it."""
    journal.note_refusal(
        source,
        "privacy_control",
        f"{events:,} events were not stored: the browser sends Sec-GPC, Global Privacy Control.",
        "Where the visitor has agreed all the same, add consent=1 to the address.",
        now_us=time.time_ns() // 1000,
        root=events_root(),
        site=site,
    )


def record_exposures(
    *, site: str, exposures: Sequence[tuple[str, str, str]], now_us: int, source: str = "assignments"
) -> None:
    """Make exposures durable, given as (visitor id, experiment key, variant key).

    Raises: ApiError 400 for a visitor id that no event may carry; IntakeUnavailable (503) when nothing could be stored.
    """
    judgement = ingest(
        site=site,
        events=[
            {"name": EXPOSURE, "visitor_id": visitor, "properties": {"experiment": experiment, "variant": variant}}
            for visitor, experiment, variant in exposures
        ],
        now_us=now_us,
        source=source,
    )
    for refused in judgement.rejected:
        raise ApiError(400, refused.code, refused.message, refused.advice)


def seal_segments() -> None:
    """Close this process's current segment, so that the next compaction takes it over at once."""
    writer_for(events_root()).seal()


def compact_due(*, wait_seconds: float = 0.0) -> CompactionSummary:
    """Take over every sealed segment into the store. Safe to kill at any point, to repeat, and to run twice at once."""
    seal_segments()
    return parquet_store().compact(wait_seconds=wait_seconds)


def take_over(*, wait_seconds: float = 300.0) -> CompactionSummary:
    """Like `compact_due`, but wait for a compaction that is under way and then do the rest."""
    return compact_due(wait_seconds=wait_seconds)


def erase_visitor(*, site: str, visitor: str) -> int:
    """Delete every event of a visitor and of the identities linked to it, for good; return how many there were."""
    _require_site(site)
    return event_store().erase_visitor(site=site, visitor=visitor)


def expire(*, retention_days: dict[str, int], now: datetime) -> dict[str, int]:
    """Delete what is older than each site keeps, and tidy up; return the number of events deleted by site."""
    today = day_number(to_us(now))
    store = event_store()
    dropped = {
        site: store.drop_before(site=site, day=iso_day(max(today - days, 0)))
        for site, days in sorted(retention_days.items())
    }
    parquet_store().tidy(before_day=today - 1)
    _forget_segments(now)
    return {site: events for site, events in dropped.items() if events}


def _forget_segments(now: datetime) -> None:
    """Forget consumed segments whose file is long gone: their names never come back."""
    old = ConsumedSegment.objects.filter(consumed_at__lt=now - _FORGET_SEGMENTS_AFTER)
    old.exclude(name__in=waiting_segments(Folders(events_root()))).delete()


def _require_site(site: str) -> None:
    # The key becomes the name of a folder, so it is checked here once more than in the model.
    if not _SITE.fullmatch(site):
        raise ValueError(f"{site!r} is not a site key.")


def _sent_at(value: str | int | float | None) -> int | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        return parse_time(value)
    except (ValueError, OverflowError):
        raise ApiError(
            400,
            "sent_at_malformed",
            f"`sent_at` is {str(value)[:60]!r}, which is not a time.",
            "Send the sender's clock as ISO 8601 with an offset, or leave it out when the clock can be trusted.",
        ) from None


def _new_prefix(now_us: int) -> str:
    return f"{now_us:x}-{secrets.token_hex(8)}-"
