"""Who may open a page: whoever has signed in and may see runs; everyone else is asked to sign in or told why not."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

READ = "reports.view_analysisrun"
RUN = "experiments.run_experiment"

View = Callable[..., HttpResponseBase]


def needs(permission: str) -> Callable[[View], View]:
    """Let a view through for signed-in people with `permission` only."""

    def decorate(view: View) -> View:
        @login_required(login_url="login")
        @wraps(view)
        def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            if not request.user.has_perm(permission):
                raise PermissionDenied(permission)
            return view(request, *args, **kwargs)

        return guarded

    return decorate
