"""The matcher: bank lines against book items, a pure function of two frames and the rules."""

from reconciliation.matching.days import match_day_by_day
from reconciliation.matching.engine import match_frames
from reconciliation.matching.frames import FrameRefused
from reconciliation.matching.outcome import Outcome, discrepancy_id, merged, output_hash
from reconciliation.matching.rules import MatchingRules, Rule, Window

__all__ = [
    "FrameRefused",
    "MatchingRules",
    "Outcome",
    "Rule",
    "Window",
    "discrepancy_id",
    "match_day_by_day",
    "match_frames",
    "merged",
    "output_hash",
]
