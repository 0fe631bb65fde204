"""Publishing: the rules of a site, numbered and immutable."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from experiments.models import PublishedRuleset, Site
from experiments.selectors.rulesets import ruleset_of


@transaction.atomic
def publish_ruleset(*, site: Site, now: datetime) -> PublishedRuleset:
    """Publish the site's rules as they stand and return them; when nothing changed, the newest version is returned.

    It is part of the transaction that made the change, so that no client ever sees one without the other.
    """
    # Two changes at once must not take the same number: the row of the site makes the second one wait.
    Site.objects.select_for_update().get(pk=site.pk)
    newest = PublishedRuleset.objects.filter(site=site).order_by("-version").first()
    ruleset = ruleset_of(site, version=newest.version + 1 if newest else 1)
    content_hash = ruleset.content_hash()
    if newest is not None and newest.content_hash == content_hash:
        return newest
    return PublishedRuleset.objects.create(
        site=site,
        version=ruleset.version,
        document=ruleset.to_document(),
        content_hash=content_hash,
        created_at=now,
    )
