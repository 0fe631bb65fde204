"""The pages of the demo shop. Variants and the larger steps are handled here, as a Django site would; small clicks by the browser client."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from experiments.selectors import live
from tracking.demo_shop.goods import BY_KEY, GOODS, SITE, total
from tracking.middleware import serve_visitor
from tracking.visitor import COOKIE, Visitor

CART = "demo_shop_cart"
View = Callable[..., HttpResponse]


def shop_page(view: View) -> View:
    """Give a view its visitor; without the demo's site there is no shop."""

    @wraps(view)
    def served(request: HttpRequest, **more: Any) -> HttpResponse:
        if live.ruleset(SITE) is None:
            raise Http404("The demo shop needs the demo's data: `manage.py seed_demo` makes them.")
        return serve_visitor(request, SITE, lambda asked: view(asked, **more))

    return served


def _page(request: HttpRequest, name: str, **context: Any) -> HttpResponse:
    return render(
        request, f"demo_shop/{name}.html", {"goods": GOODS, "in_cart": len(_cart(request)), "site": SITE, **context}
    )


def _cart(request: HttpRequest) -> list[str]:
    found = request.session.get(CART, [])
    return [key for key in found if key in BY_KEY]


def visitor_of(request: HttpRequest) -> Visitor:
    found: Visitor = request.visitor  # type: ignore[attr-defined]
    return found


@require_GET
@shop_page
def home(request: HttpRequest) -> HttpResponse:
    visitor_of(request).track("page_view", page="home")
    return _page(request, "home")


@require_GET
@shop_page
def good(request: HttpRequest, key: str) -> HttpResponse:
    if key not in BY_KEY:
        raise Http404(f"The demo shop does not sell '{key[:60]}'.")
    visitor_of(request).track("view_product", product=key)
    return _page(request, "good", good=BY_KEY[key])


@require_POST
@shop_page
def add(request: HttpRequest, key: str) -> HttpResponse:
    if key not in BY_KEY:
        raise Http404(f"The demo shop does not sell '{key[:60]}'.")
    request.session[CART] = [*_cart(request), key]
    return HttpResponseRedirect(reverse("demo-shop-cart"))


@require_GET
@shop_page
def cart(request: HttpRequest) -> HttpResponse:
    keys = _cart(request)
    return _page(request, "cart", lines=[BY_KEY[key] for key in keys], total=total(keys))


@require_GET
@shop_page
def checkout(request: HttpRequest) -> HttpResponse:
    keys = _cart(request)
    if not keys:
        return HttpResponseRedirect(reverse("demo-shop-cart"))
    visitor_of(request).track("checkout_start", value=float(total(keys)))
    return _page(request, "checkout", lines=[BY_KEY[key] for key in keys], total=total(keys))


@require_POST
@shop_page
def buy(request: HttpRequest) -> HttpResponse:
    keys = _cart(request)
    if not keys:
        return HttpResponseRedirect(reverse("demo-shop-cart"))
    visitor_of(request).track("purchase", value=float(total(keys)), items=len(keys))
    request.session[CART] = []
    return HttpResponseRedirect(reverse("demo-shop-thanks"))


@require_GET
@shop_page
def thanks(request: HttpRequest) -> HttpResponse:
    return _page(request, "thanks")


@require_POST
def somebody_else(request: HttpRequest) -> HttpResponse:
    """Forget who the visitor is, so that the next page is a new visitor's."""
    request.session.pop(CART, None)
    response = HttpResponseRedirect(reverse("demo-shop-home"))
    response.delete_cookie(COOKIE, samesite="Lax")
    return response
