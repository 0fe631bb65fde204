"""What the demo shop sells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

SITE = "demo"


@dataclass(frozen=True, slots=True)
class Good:
    """One product. Units: `price` in euros."""

    key: str
    name: str
    price: Decimal
    text: str
    hue: int


GOODS = (
    Good("kettle", "Kettle, enamelled", Decimal("48.00"), "Boils a litre in four minutes and whistles a third.", 12),
    Good("lamp", "Reading lamp", Decimal("64.50"), "Warm light on the page, none in your neighbour's eyes.", 45),
    Good("blanket", "Wool blanket", Decimal("89.00"), "Woven from one flock, heavy enough for open windows.", 150),
    Good("knife", "Kitchen knife", Decimal("39.90"), "Carbon steel, sharpened by hand. It wants to be dried.", 205),
    Good("bag", "Canvas bag", Decimal("27.00"), "Holds a week of vegetables and folds into a fist.", 260),
    Good("clock", "Wall clock", Decimal("72.00"), "Silent. It only tells you the time when you look.", 320),
)
BY_KEY = {good.key: good for good in GOODS}


def total(keys: Sequence[str]) -> Decimal:
    """Return what a cart costs, in euros; keys that are no products cost nothing."""
    return sum((BY_KEY[key].price for key in keys if key in BY_KEY), Decimal(0))
