"""Kinds of feedback. Each becomes a learner that trains a delta; `ALL` maps the kind's name to it."""

from pellucid.feedback.correct_action import CorrectAction
from pellucid.feedback.ignore import Ignore

ALL = {"ignore": Ignore, "correct-action": CorrectAction}
