"""Groups of fields as single players: what goes together, is left out together, and has one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pellucid.core.errors import SchemaError, nearest
from pellucid.core.schema import Player

Together = Mapping[str, Sequence[str]]  # name of the player -> names of its fields

WHERE = "explain(together=...)"


def joined_players(players: Sequence[Player], together: Together | None) -> list[Player]:
    """The players with every group of fields in the place of its first field; of those, lag groups and parts are gone.

    Raises:
        SchemaError: an unknown field, one in two groups, a group of nothing, or a name that a field has.
    """
    if not together:
        return list(players)
    fields = list(dict.fromkeys(player.field for player in players))
    _require_groups(fields, together)
    group = {field: name for name, members in together.items() for field in members}
    found: list[Player] = []
    for player in players:
        name = group.get(player.field)
        if name is None:
            found.append(player)
        elif not any(other.name == name for other in found):
            whole = [Player(name, field, slice(None)) for field in fields if group.get(field) == name]
            found.append(whole[0]._replace(others=tuple(whole[1:])))
    return found


def _require_groups(fields: Sequence[str], together: Together) -> None:
    named = [field for members in together.values() for field in members]
    unknown = [field for field in named if field not in fields]
    twice = [field for field, n in Counter(named).items() if n > 1]
    taken = [name for name in together if name in fields and name not in together[name]]
    empty = [name for name, members in together.items() if not members or isinstance(members, str)]
    for wrong, what, mend in (
        (empty, "is no list of fields", "give the names of the fields that it joins"),
        (unknown, f"is no field of the task; it reads {', '.join(fields)}", "use these names"),
        (twice, "is in two groups", "a field is in one player"),
        (taken, "is the name of a field that it does not hold", "give the group another name"),
    ):
        if wrong:
            near = nearest(wrong[0], fields) if wrong is unknown else None
            raise SchemaError(f"'{wrong[0]}' {what}.", where=WHERE, mend=near or mend)
