"""Send a first event: for each way in, what to paste, filled with the site's own key."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from experiments.selectors import live
from tracking.clients.browser import script
from tracking.views.access import chosen_site, for_readers


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way in."""

    anchor: str
    title: str
    text: str
    code: str


@require_GET
@for_readers
def page(request: HttpRequest) -> HttpResponse:
    site, known = chosen_site(request)
    grant = live.client_grant(site.key) if site is not None else None
    base = f"{request.scheme}://{request.get_host()}"
    context = {"site": site, "sites": known, "snippets": snippets(base, grant.public_value) if grant else []}
    return render(request, "tracking/first_event.html", context)


def snippets(base: str, key: str) -> list[Snippet]:
    """Return what to paste for each protocol, filled with the address and the client key."""
    client = script()
    return [
        Snippet(
            "browser",
            "Any web page",
            "Inkling's own browser client: variants, page changes, and micro conversions without code. Allow its address in a content security "
            "policy. The first tag moves with every version; the second is pinned.",
            f'<script src="{base}/ab.js" data-key="{key}" data-auto="pages" async></script>\n\n'
            f'<script src="{base}{client.address}" data-key="{key}" data-auto="pages"\n'
            f'        integrity="{client.integrity}" crossorigin async></script>',
        ),
        Snippet(
            "curl",
            "The command line",
            "The plainest way to see an event arrive.",
            f"curl -H 'Authorization: Bearer {key}' {base}/api/v1/events \\\n"
            '    -d \'{"events": [{"name": "first_event", "visitor_id": "me", "properties": {"from": "curl"}}]}\'',
        ),
        Snippet(
            "segment",
            "Segment or RudderStack",
            "Their libraries send here unchanged; only the address differs.",
            "from segment.analytics.client import Client\n\n"
            f'analytics = Client("{key}", host="{base}")\n'
            'analytics.track("me", "first_event", {"from": "segment"})\nanalytics.flush()',
        ),
        Snippet(
            "growthbook",
            "GrowthBook's SDKs",
            "Experiments and flags are features; the tracking plugin sends to the same address.",
            "import { GrowthBook } from '@growthbook/growthbook';\n"
            "import { growthbookTrackingPlugin } from '@growthbook/growthbook/plugins';\n\n"
            "const gb = new GrowthBook({\n"
            f"  apiHost: '{base}',\n  clientKey: '{key}',\n  attributes: {{ id: 'me' }},\n"
            f"  plugins: [growthbookTrackingPlugin({{ ingestorHost: '{base}' }})],\n}});\n"
            "await gb.init();\ngb.logEvent('first_event', { from: 'growthbook' });",
        ),
        Snippet(
            "openfeature",
            "OpenFeature",
            "Any OFREP provider evaluates here; evaluating one experiment records the exposure.",
            "from openfeature import api\nfrom openfeature.contrib.provider.ofrep import OFREPProvider\n\n"
            f'api.set_provider(OFREPProvider("{base}", headers_factory=lambda: {{"X-API-Key": "{key}"}}))',
        ),
        Snippet(
            "django",
            "A Django project",
            "Where Inkling's apps are installed in the project itself: no HTTP in between.",
            'MIDDLEWARE += ["tracking.middleware.VisitorMiddleware"]\nINKLING_SITE = "…"\n\n'
            '{% load inkling %}{% inkling_script %}\n{% variant "cta" as cta %}\n\n'
            'request.visitor.track("first_event", value=1)',
        ),
    ]
