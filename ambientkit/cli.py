"""The command line: parse, call the engine, print. Every exit code is decided here. Imports no torch."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import click

from ambientkit.cli_evaluate import evaluate
from ambientkit.cli_inspect import inspect
from ambientkit.cli_machines import bench, export
from ambientkit.cli_pictures import complete, generate
from ambientkit.cli_plugins import check_plugin, new_plugin
from ambientkit.cli_recipes import copy, describe, plugins, schema, show, validate
from ambientkit.cli_runs import resume, run, runs
from ambientkit.cli_shell import Shell, examples
from ambientkit.errors import FAILURES, AmbientkitError, InputError, Interrupted, RecipeError
from ambientkit.mishaps import explained
from ambientkit.names import did_you_mean


class Verbs(click.Group):
    """The verbs, and the one place where an error becomes a message on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb: exit 0 done, 1 the run failed, 2 the input is wrong, 128 + n by signal n."""
        try:
            return super().invoke(ctx)
        except AmbientkitError as error:
            click.echo(_message(error), err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except OSError as error:
            click.echo(f"Error: {explained(error) or error}", err=True)
            ctx.exit(1)
        except FAILURES as error:  # click's own way out is no SystemExit: that is a plugin's
            plain = explained(error)
            told = _message(plain) if plain else _bug(error, verbose=ctx.params.get("verbose", False))
            click.echo(told, err=True)
            ctx.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that is meant; an unknown one is told with the nearest."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.commands) or f"there are {', '.join(self.commands)}"
            ctx.fail(f"there is no verb {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


def _message(error: AmbientkitError) -> str:
    if isinstance(error, RecipeError | Interrupted):
        return str(error)
    return f"{'Error' if isinstance(error, InputError) else 'The run failed'}: {error}"


def _bug(error: BaseException, *, verbose: bool) -> str:
    told = f"This is a bug in ambientkit or in a plugin: {type(error).__name__}: {error}"
    if verbose:
        return "".join(traceback.format_exception(error)) + told
    return f"{told}\nSee where with: ambientkit -v ..."


def _log_to_stderr(ctx: click.Context) -> None:
    """The engine's log on stderr, until the verb ends."""
    log = logging.getLogger("ambientkit")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.INFO)

    def restore() -> None:
        log.removeHandler(handler)
        log.setLevel(level)

    ctx.call_on_close(restore)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("ambientkit run quickstart", "ambientkit run --help"),
)
@click.option("-v", "--verbose", is_flag=True, help="Say more: the log, and tracebacks of bugs.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but results and errors.")
@click.version_option(package_name="ambientkit", message="ambientkit %(version)s")
@click.pass_context
def main(ctx: click.Context, verbose: bool, quiet: bool) -> None:
    """Train image generators where clean training data does not exist, and complete pictures with them.

    Exit codes: 0 done, 1 the run failed, 2 the input is wrong, 128 + n interrupted by signal n.
    """
    if verbose and quiet:
        raise click.UsageError("-v and -q contradict each other; give one of them")
    if verbose:
        _log_to_stderr(ctx)
    # What shows the progress of a run asks this logger whether it may.
    logging.getLogger("ambientkit.console").setLevel(logging.WARNING if quiet else logging.INFO)
    ctx.obj = Shell(quiet)


for _verb in (run, resume, evaluate, complete, generate, export, runs, inspect, bench, validate, show, copy):
    main.add_command(_verb)
for _verb in (schema, plugins, describe, new_plugin, check_plugin):
    main.add_command(_verb)
