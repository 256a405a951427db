"""Pages about policies, suggestions of demonstrations, and memories as a frame."""

import html
import json
from pathlib import Path

from ._mcnn import _suggest


class Report:
    """The page of `mcnn report` as text in `html`. A notebook shows it inline; it needs no network."""

    def __init__(self, text):
        self.html = text

    def save(self, path):
        """Writes the page to a file."""
        Path(path).write_text(self.html, encoding="utf-8")

    def __repr__(self):
        return f"Report: {len(self.html)} bytes of HTML; save(path) writes it"

    def _repr_html_(self):
        # A frame of its own keeps the page's styles and scripts apart from the notebook's. Without allow-same-origin its script
        # cannot touch the notebook.
        page = html.escape(self.html, quote=True)
        return f'<iframe sandbox="allow-scripts" srcdoc="{page}" style="width: 100%; height: 900px; border: 0"></iframe>'


class Suggestions(dict):
    """What to demonstrate next: the keys of `mcnn suggest --json`, as a dict. A notebook shows it as a table."""

    def __repr__(self):
        lines = [f"Suggestions: d_I {self['coverage']['max']:.4f} over {self['states']} states and {self['memories']} memories"]
        for one in self["suggestions"]:
            lines.append(f"  {self['unit']} {one['start' if self['unit'] == 'state' else 'at']}: d_I {one['d_i_before']:.4f} -> {one['d_i_after']:.4f}")
        return "\n".join(lines)

    def _repr_html_(self):
        heads = "".join(f"<th>{head}</th>" for head in ["most isolated state", "start at", "d_I before", "d_I after", "nearest memory"])
        rows = "".join(
            f"<tr><td>{one['at']}</td><td>{one['start']}</td><td>{one['d_i_before']:.4f}</td><td>{one['d_i_after']:.4f}</td>"
            f"<td>{one['memory']['source']}</td></tr>"
            for one in self["suggestions"]
        )
        return f"<table><tr>{heads}</tr>{rows}</table>"


def suggest(demos, memories, count=5, start_states=False) -> Suggestions:
    """The demonstrations that would reduce d_I, the largest distance of a state to its nearest memory, most, as `mcnn suggest` does.

    demos: states to search, as Demonstrations: a pool of candidates, or the states that a policy visited. memories: Memories or a Policy.
    count: of suggestions, at most one in an episode. start_states: suggest states to start a demonstration from, instead of whole
    episodes of demos to add. Raises `mcnn.Error` for other dimensions.
    """
    return Suggestions(json.loads(_suggest(demos, memories, count, start_states)))


def memory_frame(arrays, names, uses):
    """The memories of a policy as a pandas DataFrame; see `Policy.memory_frame`."""
    import pandas  # type: ignore[import-untyped,unused-ignore]

    columns = {"episode": arrays["episodes"], "step": arrays["steps"]}
    for kind, values, given in [("state", arrays["states"], names[0]), ("action", arrays["actions_in_data_units"], names[1])]:
        for k in range(values.shape[1]):
            name = given[k] if given else f"{kind}_{k}"
            columns[name if name not in columns else f"{kind}_{name}"] = values[:, k]
    if uses is not None:
        columns["uses"] = uses
    return pandas.DataFrame(columns)
