"""What the certificate says of a shop at several sizes, beside closed forms and a test of purchases alone.

    python -m benchmarks.certificate [--replicates 2000]

The shop: product view 45 %, cart 8.1 %, checkout 3.65 %, purchase 2.0 % of visitors; the gain enters at the cart, of which four
fifths reach the purchase; twelve weeks with weekly looks; the balanced preset.
"""

from __future__ import annotations

import argparse

from reports.core.planning.options import Way, options
from reports.core.proxy.certificate import CertificateQuestion, TruthKey, simulate, truths_of

REACH = (0.45, 0.081, 0.0365, 0.0200)
CASES = ((1_000, 0.12), (1_000, 0.20), (5_000, 0.08), (5_000, 0.12), (5_000, 0.20), (20_000, 0.08), (20_000, 0.12))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=2_000)
    asked = parser.parse_args()
    print(
        "| visits a week | gain | closed form, weeks: goal / cart / both | engine: ships, weeks | purchases alone: ships, weeks |"
    )
    print("|---|---|---|---|---|")
    shipped = []
    for per_week, gain in CASES:
        question = CertificateQuestion(REACH, per_week, 12, gain, look_every_days=7)
        ways = {(o.way, o.step): o.weeks for o in options(question, alpha=0.05, power=0.8)}
        found = {
            truth: simulate(question, truth, effects, replicates=asked.replicates)
            for truth, effects in truths_of(question).items()
        }
        real = found[TruthKey.GAIN]
        closed = (ways[Way.MACRO_ONCE, None], ways[Way.MICRO, 2], ways[Way.TOGETHER, 2])
        print(
            f"| {per_week:,} | +{gain:.0%} | {' / '.join(f'{weeks:.1f}' for weeks in closed)} "
            f"| {real.ship:.0%}, {real.weeks_mean:.1f} | {real.macro_ship:.0%}, {real.macro_weeks:.1f} |"
        )
        others = (TruthKey.NOTHING, TruthKey.CURIOSITY, TruthKey.BAIT, TruthKey.HARM)
        shipped.append(f"| {per_week:,} | +{gain:.0%} | {' | '.join(f'{found[truth].ship:.1%}' for truth in others)} |")
    print("\n| visits a week | gain | nothing | curiosity | bait -5 % | harm -10 % |\n|---|---|---|---|---|---|")
    print("\n".join(shipped))


if __name__ == "__main__":
    main()
