"""Texts made from the templates in ``tb/templates``: harnesses, probes, players."""

from __future__ import annotations

from typing import Any

import jinja2


def render_template(name: str, **values: Any) -> str:
    """Return a template's text; a value that it names and is not given is an error.

    Parameters
    ----------
    name : str
        File name in ``tb/templates``.
    **values : Any
        What the template names.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tb"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(**values)
