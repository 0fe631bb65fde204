"""Template tags for sites that are Django projects: `{% load inkling %}`.

`{% variant "cta" as cta %}` and `{% value "cta" as cta %}` ask the request's visitor; `{% inkling_script %}` is the browser client with its rules in
the page, so that nothing has to be waited for.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from experiments.clients.browser import browser_document
from experiments.selectors import live
from tracking.clients.browser import script
from tracking.visitor import Visitor

register = template.Library()

# What could end the script element, or a line of it, written so that it cannot.
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


@register.simple_tag(takes_context=True)
def variant(context: template.Context, experiment: str) -> str | None:
    """Return the visitor's variant of an experiment, None outside it; counts as an exposure."""
    return _visitor(context).variant(experiment)


@register.simple_tag(takes_context=True)
def value(context: template.Context, key: str, otherwise: Any = None) -> Any:
    """Return the payload of the visitor's variant, or a flag's value."""
    return _visitor(context).value(key, otherwise)


@register.simple_tag(takes_context=True)
def inkling_script(context: template.Context, **data: str) -> SafeString:
    """Return the browser client's tag; further arguments become its data attributes, `consent="required"` for one.

    Empty where the site has no client key yet.
    """
    grant = live.client_grant(_visitor(context).site)
    if grant is None:
        return SafeString("")
    payload = browser_document(grant).body
    nonce = format_html(' nonce="{}"', one) if (one := getattr(context["request"], "csp_nonce", "")) else ""
    more = format_html_join("", ' data-{}="{}"', ((name.replace("_", "-"), text) for name, text in data.items()))
    text = mark_safe(payload.decode().translate(_ESCAPES))
    return format_html(
        '<script{}>window.abPayload={}</script><script src="{}" data-key="{}"{}{} async></script>',
        nonce,
        text,
        script().address,
        grant.public_value,
        more,
        nonce,
    )


def _visitor(context: template.Context) -> Visitor:
    request = context.get("request")
    visitor = getattr(request, "visitor", None)
    if visitor is None:
        raise LookupError(
            "Inkling's tags need the request in the context and tracking.middleware.VisitorMiddleware in MIDDLEWARE."
        )
    found: Visitor = visitor
    return found
