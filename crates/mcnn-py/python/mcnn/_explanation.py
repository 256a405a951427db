"""Explanations of actions."""

import html
import json


class Explanation(dict):
    """How a policy computes an action: the contents of `mcnn explain --json` as a dict. A notebook shows it as a table."""

    def _repr_html_(self) -> str:
        memory = self["memory"]
        source = f"{memory['source']['episode']}:{memory['source']['step']}"
        head = (
            f"memory {memory['memory']} (step {source}) at distance {memory['distance']:.4f}; "
            f"weight {self['weight']:.4f}, radius {self['radius']:.4f}"
        )
        keys = ["memory_action", "network_output", "low", "high", "action"]
        cell = lambda value: "" if value is None else f"{value:.4f}"
        names = self.get("action_names") or range(len(self["dimensions"]))
        rows = "".join(
            f"<tr><th>{html.escape(str(name))}</th>" + "".join(f"<td>{cell(row[key])}</td>" for key in keys) + "</tr>"
            for name, row in zip(names, self["dimensions"])
        )
        heads = "".join(f"<th>{key.replace('_', ' ')}</th>" for key in ["action dimension", *keys])
        return f"<table><caption>{html.escape(head)}</caption><tr>{heads}</tr>{rows}</table>"


def from_json(text, action_names) -> Explanation:
    """The explanation that a policy gave as JSON."""
    return Explanation(json.loads(text), action_names=action_names)
