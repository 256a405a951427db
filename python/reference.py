"""Writes the Python reference of the documentation from the docstrings of the installed package:

    python python/reference.py > docs/book/src/reference/python.md
"""

import inspect

import mcnn

HEAD = """# Python reference

<!-- Written by python/reference.py from the docstrings. Do not edit. -->

Everything in the module `mcnn`, as `help` shows it. The [guide](../python.md) has examples. Shapes are in brackets; arrays are float32 unless
the text says otherwise. Errors are `mcnn.Error`, a `ValueError`, unless the text names another type.
"""


def text(thing):
    """A docstring as paragraphs of Markdown, each on one line."""
    paragraphs = (inspect.getdoc(thing) or "").split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in paragraph.split("\n")) for paragraph in paragraphs)


def signature(name, thing, bound=False):
    try:
        found = inspect.signature(thing)
    except (ValueError, TypeError):
        return name
    parameters = [p.replace(annotation=p.empty) for p in found.parameters.values() if not (bound and p.name in ("self", "cls", "_cls"))]
    return name + str(found.replace(parameters=parameters, return_annotation=found.empty)).replace(", /", "").replace("(/)", "()")


def members(cls):
    """The public members of a class that have a docstring of their own: (name, member as it is defined)."""
    for name, member in vars(cls).items():
        if not name.startswith("_") and inspect.getdoc(member):
            yield name, member


def is_property(member):
    return isinstance(member, property) or inspect.isgetsetdescriptor(member) or inspect.ismemberdescriptor(member)


def of_class(name, cls):
    lines = [f"### {name}", ""]
    is_made_by_users = name in ("Demonstrations", "Trainer")
    if is_made_by_users:
        lines += [f"```text\n{signature(name, cls)}\n```", ""]
    lines += [text(cls), ""]
    found = list(members(cls))
    for member_name, member in (pair for pair in found if not is_property(pair[1])):
        function = getattr(cls, member_name)
        lines += [f"**`{signature(f'{name}.{member_name}', function, bound=True)}`** {text(function)}", ""]
    # Those of the extension module have no order of their own.
    properties = sorted((pair for pair in found if is_property(pair[1])), key=lambda pair: pair[0])
    if properties:
        lines += ["| attribute | |", "|---|---|"]
        lines += [f"| `{member_name}` | {text(member).replace('|', chr(92) + '|')} |" for member_name, member in properties]
        lines += [""]
    return lines


def of_function(name, function):
    return [f"### {name}", "", f"```text\n{signature(name, function)}\n```", "", text(function), ""]


def page():
    names = [name for name in mcnn.__all__ if not name.startswith("_") and name != "adapt"]
    classes = [name for name in names if inspect.isclass(getattr(mcnn, name))]
    functions = [name for name in names if name not in classes]
    lines = [HEAD, "## Functions", ""]
    for name in functions:
        lines += of_function(name, getattr(mcnn, name))
    for name in ("d3rlpy", "openpi"):
        lines += of_function(f"adapt.{name}", getattr(mcnn.adapt, name))
    lines += ["## Classes", ""]
    for name in classes:
        lines += of_class(name, getattr(mcnn, name))
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
