"""A call list of a shop, changed over HTTP while a test looks at pages.

def test_a_caller_sees_the_next_call(shop, visit):
    calling = Calling(shop)
    calling.put_on(calling.add("Zoë Jones"))
    caller = visit(calling.caller("Ana"))
"""

from __future__ import annotations

from typing import Any

from helpers.places import Place

WHOLE_DAY = {"calling_from": "00:00", "calling_to": "24:00"}  # since tests also run at night


class Calling:
    """A call list that the owner of a shop adds, "Follow-ups" if nothing else is asked for."""

    def __init__(self, shop: Place, **asked: Any):
        self.shop, self.server = shop, shop.client
        self.owner("", country="DE")
        self.slug = self.owner("/queues", **WHOLE_DAY | {"name": "Follow-ups", "kind": "calls"} | asked)[
            "slug"
        ]

    def owner(self, path: str, **content: Any) -> Any:
        """Send a change as the owner, and check that it is accepted."""
        answer = self.server.post(f"{self.shop.links['manage']}{path}", content)
        assert answer.status in (200, 201), answer
        return answer.body

    @property
    def contacts_link(self) -> str:
        """The owner's page of contacts."""
        return f"{self.shop.links['manage']}/contacts"

    @property
    def link(self) -> str:
        """The owner's page of the list."""
        return f"{self.shop.links['manage']}/queues/{self.slug}"

    def contacts(self) -> list[dict[str, Any]]:
        """Return the first fifty contacts."""
        return self.server.get(self.contacts_link).body["contacts"]

    def add(self, *names: str, **more: Any) -> list[int]:
        """Add contacts with these names; return the ids of the first fifty contacts."""
        known = [each["id"] for each in self.contacts()]
        rows = [
            {"name": name, "phone": f"030 2345 {1000 + len(known) + nth}"} | more
            for nth, name in enumerate(names)
        ]
        added = self.owner("/contacts", contacts=rows)
        assert added["added"] == len(names), added
        return [each["id"] for each in self.contacts()]

    def put_on(self, ids: list[int], reason: str = "Blood results", **more: Any) -> None:
        """Put contacts on the list, due now."""
        self.owner("/contacts/actions", action="add_to_list", list=self.slug, reason=reason, ids=ids, **more)

    def caller(self, name: str = "Ana") -> str:
        """Start calling; return the link of the caller's page."""
        answer = self.server.post(self.shop.links["staff"], {"name": name, "desk": None})
        assert answer.status == 201, answer
        return f"{answer.body['links']['desk']}/calls"

    def calls(self, caller: str, path: str = "", **content: Any) -> dict[str, Any]:
        """Press this button of a caller's page, if any; return the content of the page."""
        answer = self.server.post(f"{caller}/{path}", content) if path else self.server.get(caller)
        assert answer.status in (200, 201), answer
        return answer.body

    def has_a_call(self, caller: str) -> dict[str, Any]:
        """Request the next call, and check that there is one."""
        return self.calls(caller, "next")["call"]

    def reported(self) -> dict[str, int]:
        """Return how often each outcome was reported today."""
        outcomes = self.server.get(self.link).body["outcomes"]
        return {each["outcome"]: each["total"] for each in outcomes if each["total"]}
