"""Who may see what arrives: people who may see experiments; and which site they look at."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from experiments.selectors.planning import SiteFacts, sites

READ = "experiments.view_experiment"
View = Callable[..., HttpResponse]


def for_readers(view: View) -> View:
    """Let a view through for signed-in people who may see experiments."""

    @login_required(login_url="login")
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm(READ):
            raise PermissionDenied(READ)
        return view(request)

    return guarded


def chosen_site(request: HttpRequest) -> tuple[SiteFacts | None, list[SiteFacts]]:
    """Return the site of `?site=`, else the first, and all of them. Raises: Http404 for one that does not exist."""
    known = sites()
    asked = request.GET.get("site", "")
    if asked and asked not in {one.key for one in known}:
        raise Http404(f"There is no site '{asked[:60]}'.")
    return next((one for one in known if one.key == asked), known[0] if known else None), known
