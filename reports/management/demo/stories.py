"""What is true of the demo shop, and the experiments whose reports should tell it."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.core.metrics import Conversion, Role
from reports.core.shop import Shop, SideAction, SimulatedExperiment, SimulatedVariant, Step, Trait
from reports.core.simulate import MICROSECONDS_PER_DAY

DAYS_BEFORE = 42
SITE = "demo"
CONTROL, TREATMENT = "control", "treatment"
DAY_HOURS, WEEK_HOURS = 24.0, 168.0


@dataclass(frozen=True, slots=True)
class DemoMetric:
    """A metric of the shop as it would be set up in the admin."""

    key: str
    name: str
    conversion: Conversion
    event: str
    kind: str = "conversion"
    funnel_order: int | None = None
    parent: str | None = None
    window_hours: float = DAY_HOURS
    expected_pass_through: float | None = None


METRICS = (
    DemoMetric("view_product", "Saw a product", Conversion.MILESTONE, "view_product", funnel_order=1),
    DemoMetric(
        "add_to_cart",
        "Put something in the cart",
        Conversion.MILESTONE,
        "add_to_cart",
        funnel_order=2,
        parent="view_product",
        expected_pass_through=0.8,
    ),
    DemoMetric(
        "checkout_start",
        "Began the checkout",
        Conversion.MILESTONE,
        "checkout_start",
        funnel_order=3,
        parent="add_to_cart",
        expected_pass_through=0.9,
    ),
    DemoMetric("purchase", "Bought something", Conversion.MACRO, "purchase", window_hours=WEEK_HOURS),
    DemoMetric("revenue", "Revenue", Conversion.MACRO, "purchase", kind="value_sum", window_hours=WEEK_HOURS),
    DemoMetric("newsletter", "Signed up for the newsletter", Conversion.SECONDARY, "newsletter"),
)


@dataclass(frozen=True, slots=True)
class Story:
    """An experiment of the demo: what people planned, what the treatment really does, and what to look for.

    Units: days before today's midnight UTC; `ended_days_ago=None` means that it still runs.
    """

    key: str
    name: str
    hypothesis: str
    change_type: str
    proxy: str
    look_for: str
    started_days_ago: int
    treatment: SimulatedVariant
    ended_days_ago: int | None = None
    horizon_weeks: int = 4

    @property
    def roles(self) -> tuple[tuple[str, Role, float | None], ...]:
        """Metric, role and margin: the proxy may decide early, the purchase must be safe, the rest is looked at."""
        others = [m.key for m in METRICS if m.key not in (self.proxy, "purchase")]
        return (
            (self.proxy, Role.PROXY, None),
            ("purchase", Role.GUARDRAIL, 0.1),
            *((key, Role.EXPLORATORY, None) for key in others),
        )


STORIES = (
    Story(
        key="sticky-cart-button",
        name="Cart button that stays in view",
        hypothesis=(
            "Because phones hide the cart button below the fold, we expect that a button that stays in view brings more "
            "visitors to put something in the cart; we shall know by add_to_cart, and purchases must not fall."
        ),
        change_type="layout",
        proxy="add_to_cart",
        look_for="a micro win with a safe macro",
        started_days_ago=37,
        ended_days_ago=7,
        treatment=SimulatedVariant(TREATMENT, factors={"add_to_cart": 1.22, "purchase": 0.99}),
    ),
    Story(
        key="urgency-countdown",
        name="Countdown on product pages",
        hypothesis=(
            "Because visitors put purchases off, we expect that a countdown brings more of them to put something in the "
            "cart; we shall know by add_to_cart, and purchases must not fall."
        ),
        change_type="promo",
        proxy="add_to_cart",
        look_for="bait-and-switch: more in the cart, fewer bought",
        started_days_ago=36,
        treatment=SimulatedVariant(TREATMENT, factors={"add_to_cart": 1.25, "purchase": 0.62}),
    ),
    Story(
        key="new-landing-page",
        name="New landing page behind a redirect",
        hypothesis=(
            "Because the home page is crowded, we expect that a plain landing page brings more visitors to a product; we "
            "shall know by view_product, and purchases must not fall."
        ),
        change_type="navigation",
        proxy="view_product",
        look_for="a broken split: the redirect loses visitors before they are counted",
        started_days_ago=20,
        treatment=SimulatedVariant(TREATMENT, factors={"view_product": 1.05}, lost_exposures=0.12),
    ),
    Story(
        key="larger-photos",
        name="Larger product photos",
        hypothesis=(
            "Because photos sell, we expect that larger ones bring more visitors to put something in the cart; we shall "
            "know by add_to_cart, and purchases must not fall."
        ),
        change_type="layout",
        proxy="add_to_cart",
        look_for="no gain: heavy pictures cost a little, and the traffic goes to another idea",
        started_days_ago=38,
        ended_days_ago=9,
        treatment=SimulatedVariant(TREATMENT, factors={"add_to_cart": 0.98, "purchase": 0.98}),
    ),
    Story(
        key="trust-badges",
        name="Trust badges in the checkout",
        hypothesis=(
            "Because first-time buyers hesitate, we expect that badges bring more of them into the checkout; we shall know "
            "by checkout_start, and purchases must not fall."
        ),
        change_type="checkout",
        proxy="checkout_start",
        look_for="too early to tell",
        started_days_ago=3,
        treatment=SimulatedVariant(TREATMENT, factors={"checkout_start": 1.05}),
    ),
)


def demo_shop(midnight_us: int) -> Shop:
    """Return the shop, with its last day the one that begins at `midnight_us`.

    Units: microseconds since 1970 UTC. About 1,500 new visitors a day, 5 % of the visits with a purchase.
    """
    return Shop(
        start=midnight_us - DAYS_BEFORE * MICROSECONDS_PER_DAY,
        days=DAYS_BEFORE + 1,
        visitors_per_day=1_500,
        weekday_factors=(1.06, 1.02, 1.0, 0.98, 0.94, 0.92, 1.08),
        funnel=(
            Step("view_product", 0.50, lag_minutes=0.7),
            Step("add_to_cart", 0.26, lag_minutes=3.0),
            Step("checkout_start", 0.62, lag_minutes=4.0),
            Step("purchase", 0.66, lag_minutes=5.0),
        ),
        side_actions=(SideAction("newsletter", (0.01, 0.02, 0.04, 0.06, 0.10)),),
        devices=(Trait("mobile", 0.62, 0.95), Trait("desktop", 0.33, 1.1), Trait("tablet", 0.05, 1.0)),
        sources=(
            Trait("search", 0.48),
            Trait("ads", 0.22, 0.94),
            Trait("direct", 0.18, 1.06),
            Trait("social", 0.12, 0.97),
        ),
        return_rate=0.22,
        return_gap_days=2.5,
        value_median=42.0,
        value_spread=0.6,
        experiments=tuple(
            SimulatedExperiment(
                story.key,
                (SimulatedVariant(CONTROL), story.treatment),
                start_day=DAYS_BEFORE - story.started_days_ago,
                end_day=None if story.ended_days_ago is None else DAYS_BEFORE - story.ended_days_ago,
            )
            for story in STORIES
        ),
    )
