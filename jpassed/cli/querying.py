"""Questions to TAP services, for every command that asks one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from jpassed.cli.arguments import Decorator, comma_list, pairs

Say = Callable[[str], None]


def login_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--login USER``; `credentials` makes of it what services are given."""
    return click.option(
        "--login",
        metavar="USER",
        help="Log in; the password is asked for, or JPASSED_VO_PASSWORD.",
    )(function)


def paging_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--maxrec``, ``--page-by``, ``--page-rows``, ``--login``, ``--no-cache``, ``--timeout``."""
    for option in reversed(_PAGING):
        function = option(function)
    return function


_PAGING: tuple[Decorator, ...] = (
    click.option(
        "--maxrec",
        metavar="N",
        type=click.IntRange(min=1),
        help="N rows will do (of pages, the first). Without it an answer that the service cuts is "
        "an error.",
    ),
    click.option(
        "--page-by",
        metavar="KEY[,KEY]",
        multiple=True,
        help="Ask in pages past the service's row limit, along columns that together identify a "
        "row.",
    ),
    click.option(
        "--page-rows", metavar="N", type=click.IntRange(min=2), help="Rows of a page at most."
    ),
    login_option,
    click.option("--no-cache", is_flag=True, help="Ask anew, and keep no answer."),
    click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        default=60.0,
        show_default=True,
        help="Without a byte, after which a try has failed.",
    ),
)


def read_adql(text: str) -> str:
    """
    The query itself, of a file (``@FILE``), or of stdin (``-``).

    Raises
    ------
    FileError
        The file cannot be read.
    click.BadParameter
        There is nothing in it.
    """
    from jpassed.exceptions import FileError

    where = "ADQL"
    if text == "-":
        where, text = "stdin", sys.stdin.read()
    elif text.startswith("@"):
        where = text[1:]
        try:
            text = Path(where).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise FileError(f"cannot read the query of {where}: {exc}") from None
    if not text.strip():
        raise click.BadParameter(f"{where} is empty; expected a query", param_hint="ADQL")
    return text


def question(service: str, adql: str | None, given: dict[str, Any]) -> Any:
    """
    A `jpassed.vo.queries.Question` of what stands on the command line.

    Parameters
    ----------
    service : str
    adql : str or None
    given : dict
        Of `paging_options`, and further keywords of `jpassed.query`.
    """
    from jpassed.io.catalogs import read_catalog
    from jpassed.vo.queries import plan_query

    found: dict[str, Any] = dict(given)
    keys = comma_list(found.pop("page_by"))
    files = pairs(found.pop("upload", ()), "--upload", "NAME=FILE, e.g. mine=small.ecsv")
    return plan_query(
        service,
        None if adql is None else read_adql(adql),
        page_by=keys or None,
        cache=not found.pop("no_cache"),
        credentials=credentials(found.pop("login")),
        uploads={name: read_catalog(path) for name, path in files.items()} or None,
        **found,
    )


def credentials(user: str | None) -> Any:
    """
    What ``--login`` stands for: user and password; None without it.

    The password is that of JPASSED_VO_PASSWORD, or asked for.
    """
    if user is None:
        return None
    from jpassed.vo.login import PASSWORD, Credentials

    password = os.environ.get(PASSWORD)
    if not password:
        password = click.prompt(f"Password of {user}", hide_input=True, err=True)
    return Credentials(user, password)


def ask_and_save(
    asked: Any, output: Path, overwrite: bool, predictions: dict[str, Any] | None
) -> None:
    """
    Write the answer to a question, annotated where keywords of `jpassed.annotate` are given.

    Raises
    ------
    JpassedError
        See `jpassed.query` and `jpassed.annotate`.
    """
    from jpassed.exceptions import QueryError
    from jpassed.vo.saving import save_answer
    from jpassed.vo.table_lists import meant_table

    work, task = None, None
    quietly: AbstractContextManager[None] = nullcontext()
    if predictions is not None:
        from jpassed.annotation.streaming import PageAnnotator, few_messages

        work = PageAnnotator(**predictions)
        task, quietly = work.task, few_messages()
    with status() as say, quietly:
        try:
            rows = save_answer(
                asked, output, work=work, task=task, overwrite=overwrite, progress=say
            )
        except QueryError as exc:
            hint = meant_table(asked.client, asked.text, str(exc)) if asked.text else ""
            if not hint:
                raise
            raise QueryError(f"{exc}{hint}") from exc
    click.echo(f"{output}: {rows} rows")


@contextmanager
def status() -> Iterator[Say]:
    """
    What goes on, on stderr: one line that changes on a terminal, otherwise a line a change.

    Yields
    ------
    callable
        To be called with a text.
    """
    terminal = sys.stderr.isatty()
    last = ""

    def say(text: str) -> None:
        nonlocal last
        if text == last:
            return
        if terminal:
            click.echo(f"\r{text}".ljust(len(last) + 1), err=True, nl=False)
        else:
            click.echo(text, err=True)
        last = text

    try:
        yield say
    finally:
        if terminal and last:
            click.echo(err=True)


def upload_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--upload NAME=FILE``."""
    return click.option(
        "--upload",
        metavar="NAME=FILE",
        multiple=True,
        help="A table that the query calls TAP_UPLOAD.NAME; may be repeated.",
    )(function)


def ready_made_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--cone``, ``--tile``, ``--where``, ``--columns``: which part of a survey."""
    for option in reversed(_PARTS):
        function = option(function)
    return function


def _cone(
    ctx: click.Context, _: click.Parameter, given: tuple[str, str, str] | None
) -> tuple[str, str, str] | None:
    """Refuse another option that was taken for one of the three."""
    stray = [text for text in given or () if re.match("--?[A-Za-z]", text)]
    if stray:
        raise click.BadParameter(
            f"expected RA DEC RADIUS, e.g. 214.25 52.5 0.1; {stray[0]} stands for one of them",
            ctx=ctx,
            param_hint="--cone",
        )
    return given


_PARTS: tuple[Decorator, ...] = (
    click.option(
        "--cone",
        metavar="RA DEC RADIUS",
        nargs=3,
        callback=_cone,
        help="Of the survey: within RADIUS, in degrees or as 14h17m +52d30m 10arcmin.",
    ),
    click.option("--tile", metavar="ID", multiple=True, help="Of the survey: a tile; may repeat."),
    click.option(
        "--where", metavar="CONDITION", help="Of the survey: ADQL such as 'o.class_star < 0.5'."
    ),
    click.option(
        "--columns",
        metavar="NAMES",
        multiple=True,
        help="Of the survey, instead of all, with commas; '*,class_star' is all and one more.",
    ),
)


def show_tables(service: str, name: str, given: dict[str, Any]) -> None:
    """``--tables``: a service's tables, or the columns of the one of that name."""
    from jpassed.vo.client import TapClient
    from jpassed.vo.table_lists import columns_of, find_tables

    client = TapClient(
        service,
        credentials=credentials(given["login"]),
        cache=not given["no_cache"],
        timeout=given["timeout"],
    )
    found = find_tables(client, name)
    width = min(max(map(len, found)), 40)
    for table, description in found.items():
        click.echo(f"{table:<{width}}  {description}".rstrip())
    if name and len(found) == 1:
        for column, unit, kind, description in columns_of(client, table):
            click.echo(f"  {column:<20} {unit or '-':<12} {kind:<8} {description}".rstrip())


def list_known(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """``--list``: the services and ready-made queries, and nothing else."""
    if not wanted or ctx.resilient_parsing:
        return
    from jpassed.vo.ready_made import list_queries
    from jpassed.vo.services import list_services

    services, queries = list_services(), list_queries()
    click.echo("Services:")
    for name, service in services.items():
        click.echo(f"  {name:<16} {service.description or service.url}")
    click.echo("Ready-made queries (--survey):")
    for name, query in queries.items():
        click.echo(f"  {name:<16} {query.description}")
    ctx.exit()
