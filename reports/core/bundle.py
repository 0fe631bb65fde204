"""A run as one JSON file: inputs, settings, code version and the stored answer, so that anybody can compute it again.

Visitor ids are not in it: a visitor is a row of numbers, and the rows are sorted by these numbers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.core.plan import AnalysisPlan
from experiments.core.refusal import Refused
from reports.core.inputs import Inputs
from reports.core.proxy.earlier import EarlierRun
from tracking.core.totals import DailyExposures, ExposureCounts, TraitValues, VisitorTotals

FORMAT = "inkling-bundle"
BUNDLE_SCHEMA = 1
MOST_ROWS = 50_000_000

_ADVICE = "Export it again with `manage.py export_bundle`, or download it from the report page."


@dataclass(frozen=True, slots=True)
class Bundle:
    """A run that can be computed again.

    `stored` is the answer as the run kept it. `inputs_changed` says that the event store answered otherwise when the bundle
    was made than when the run was computed (None: the run kept no fingerprint). `is_intact` says that nothing in the file
    was changed since it was written.
    """

    inputs: Inputs
    stored: Mapping[str, Any]
    run_id: int | None
    code_version: str
    inputs_changed: bool | None
    is_intact: bool = True


def write_bundle(bundle: Bundle) -> str:
    """Return the text of the file; `read_bundle` is its inverse."""
    inputs = bundle.inputs
    document: dict[str, Any] = {
        "format": FORMAT,
        "schema": BUNDLE_SCHEMA,
        "run": bundle.run_id,
        "code_version": bundle.code_version,
        "inputs_changed_since_run": bundle.inputs_changed,
        "as_of": inputs.as_of.isoformat(),
        "ended_at": inputs.ended_at.isoformat() if inputs.ended_at else None,
        "plan": inputs.plan.to_document(),
        "earlier": inputs.earlier.to_document() if inputs.earlier else None,
        "exposures": _exposures_document(inputs.exposures),
        "totals": _totals_document(inputs.totals),
        "result": dict(bundle.stored),
    }
    document["sha256"] = _seal(document)
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_bundle(text: str | bytes) -> Bundle:
    """Read the text of a bundle.

    Raises: Refused with code `bundle_malformed` for what is no bundle, `bundle_schema_unknown` for one of another format.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused("bundle_malformed", f"This file is no JSON: {error}.", _ADVICE) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Refused("bundle_malformed", f"This file does not say that its format is '{FORMAT}'.", _ADVICE)
    if document.get("schema") != BUNDLE_SCHEMA:
        raise Refused(
            "bundle_schema_unknown",
            f"This bundle has schema {document.get('schema')!r}; this version reads schema {BUNDLE_SCHEMA}.",
            "Compute it with the version of Inkling that wrote it, which `code_version` names.",
        )
    try:
        return Bundle(
            inputs=Inputs(
                plan=AnalysisPlan.from_document(document["plan"]),
                totals=_totals(document["totals"]),
                exposures=_exposures(document["exposures"]),
                as_of=datetime.fromisoformat(document["as_of"]),
                ended_at=datetime.fromisoformat(document["ended_at"]) if document["ended_at"] else None,
                earlier=EarlierRun.from_document(document["earlier"]) if document.get("earlier") else None,
            ),
            stored=_object(document["result"]),
            run_id=document["run"],
            code_version=str(document["code_version"]),
            inputs_changed=document["inputs_changed_since_run"],
            is_intact=document.get("sha256") == _seal(document),
        )
    except KeyError as error:
        raise Refused("bundle_malformed", f"This bundle lacks {error}.", _ADVICE) from error
    except (ValueError, TypeError, AttributeError, binascii.Error, zlib.error) as error:
        raise Refused("bundle_malformed", f"This bundle cannot be read: {error}", _ADVICE) from error


def _seal(document: Mapping[str, Any]) -> str:
    content = {key: value for key, value in document.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _totals_document(totals: VisitorTotals) -> dict[str, Any]:
    names = sorted(totals.columns)
    # The order of rows could tell who came how; sorted, a bundle of the same inputs is also the same file.
    seen = [] if totals.seen_before is None else [totals.seen_before]
    known = [*(totals.traits[name].codes for name in sorted(totals.traits)), *seen]
    keys: list[NDArray[Any]] = [
        *known,
        *(totals.columns[name] for name in names),
        totals.first_exposure,
        totals.variant,
    ]
    order = np.lexsort(keys)
    return {
        "variants": list(totals.variants),
        "visitors": len(totals.variant),
        "variant": _packed(totals.variant[order], "<i1"),
        "first_exposure": _packed(totals.first_exposure[order], "<i8"),
        "columns": {name: _packed(totals.columns[name][order], "<f8") for name in names},
        "traits": {
            name: {"labels": list(trait.labels), "codes": _packed(trait.codes[order], "<i4")}
            for name, trait in sorted(totals.traits.items())
        },
        "seen_before": None if totals.seen_before is None else _packed(totals.seen_before[order], "<i1"),
    }


def _totals(document: Mapping[str, Any]) -> VisitorTotals:
    rows = document["visitors"]
    if type(rows) is not int or not 0 <= rows <= MOST_ROWS:
        raise ValueError(f"{rows!r} is no number of visitors.")
    variants = tuple(str(v) for v in document["variants"])
    variant = _unpacked(document["variant"], "<i1", rows)
    if rows and not (variant.min() >= 0 and variant.max() < len(variants)):
        raise ValueError("A visitor is in a variant that the bundle does not name.")
    return VisitorTotals(
        variants=variants,
        variant=variant.astype(np.int8),
        first_exposure=_unpacked(document["first_exposure"], "<i8", rows).astype(np.int64),
        columns={
            name: _unpacked(packed, "<f8", rows).astype(np.float64)
            for name, packed in _object(document["columns"]).items()
        },
        traits={
            name: TraitValues(
                tuple(str(label) for label in trait["labels"]), _unpacked(trait["codes"], "<i4", rows).astype(np.int32)
            )
            for name, trait in _object(document["traits"]).items()
        },
        seen_before=None
        if document["seen_before"] is None
        else _unpacked(document["seen_before"], "<i1", rows).astype(np.bool_),
    )


def _packed(values: NDArray[Any], kind: str) -> str:
    """Return an array as text: little-endian numbers, deflated, in base64."""
    return base64.b64encode(zlib.compress(values.astype(kind).tobytes(), 9)).decode()


def _unpacked(text: str, kind: str, rows: int) -> NDArray[Any]:
    size = rows * np.dtype(kind).itemsize
    inflater = zlib.decompressobj()
    # One byte more than is due tells a longer array without inflating all of it.
    data = inflater.decompress(base64.b64decode(text, validate=True), size + 1)
    if len(data) != size:
        raise ValueError(f"An array does not have one number for each of the {rows} visitors.")
    return np.frombuffer(data, dtype=kind)


def _exposures_document(exposures: ExposureCounts) -> dict[str, Any]:
    return {
        **asdict(exposures),
        "visitors": dict(exposures.visitors),
        "unknown_variants": dict(exposures.unknown_variants),
        "robots": dict(exposures.robots),
        "daily": {"days": list(exposures.daily.days), "counts": [list(row) for row in exposures.daily.counts]},
    }


def _exposures(document: Mapping[str, Any]) -> ExposureCounts:
    daily = document["daily"]
    return ExposureCounts(
        **{
            **_object(document),
            "daily": DailyExposures(tuple(daily["days"]), tuple(tuple(row) for row in daily["counts"])),
        }
    )


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{str(value)[:40]!r} stands where an object belongs.")
    return value
