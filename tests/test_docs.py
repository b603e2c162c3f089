"""The documentation holds: code runs, recipes are valid, commands parse, links resolve."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import yaml
from docs_tables import MAKERS, MARKED, ROOT, made_anew, pages, shipped

import ambientkit
from ambientkit import Engine, recipe_file
from ambientkit.cli import main
from ambientkit.hookspecs import Lifecycle, Registration
from ambientkit.names import CATEGORIES
from ambientkit.recipe_rules import ALL_RULES
from ambientkit.registry import Options
from ambientkit.testing import check_component

FENCE = re.compile(r"(<!-- not run: .+? -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = pages()
EXPECTED_PAGES = {
    "README",
    "CONTRIBUTING",
    "api",
    "design",
    "guide",
    "plugins",
    "recipes",
    "runs",
    "write-a-measurement",
}
FEW_STEPS = ("train.steps=2", "data.source.count=24", "data.holdout=4", "train.batch_size=4")


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in one of `languages`, those marked `not run` left out."""
    found = FENCE.findall(page.read_text("utf-8"))
    return [text for mark, language, text in found if language in languages and not mark]


def named(page: Path) -> dict[str, str]:
    """Blocks whose first line is a comment with a file name, by that name."""
    files = {}
    for text in blocks(page, "python", "yaml"):
        found = re.match(r"# ([\w-]+\.(?:py|yaml))\n", text)
        if found:
            files[found[1]] = text
    return files


def with_blocks(*languages: str) -> list[Any]:
    """Pages that have such blocks, as test parameters."""
    return [pytest.param(page, id=page.stem) for page in PAGES if blocks(page, *languages)]


def test_pages_are_found():
    assert {page.stem for page in PAGES} >= EXPECTED_PAGES


def test_nothing_is_left_out():
    assert sum("<!-- not run:" in page.read_text("utf-8") for page in PAGES) == 0


def test_every_block_says_its_language_or_is_a_picture():
    seen = 0
    for page in PAGES:
        for _, language, text in FENCE.findall(page.read_text("utf-8")):
            seen += 1
            assert language in {"", "python", "yaml", "sh", "toml"}, f"{page.name}: ```{language}"
            # A command in a block without a language would escape the tests below.
            assert language or not re.search(r"^(ambientkit|pip|python|import|from) ", text, re.MULTILINE), (
                text
            )
    assert seen > 40


# Code -------------------------------------------------------------------------------------------


def run_block(text: str, file: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute a block as a module of its own that sees the names of the blocks before it."""
    file.write_text(text, "utf-8")
    linecache.checkcache(str(file))
    module = ModuleType(f"docs_{file.stem}")
    module.__file__ = str(file)
    module.__dict__.update(names)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(text, str(file), "exec"), module.__dict__)
    names |= {name: value for name, value in vars(module).items() if not name.startswith("__")}


def write_named(page: Path, folder: Path) -> None:
    for name, text in named(page).items():
        (folder / name).write_text(text, "utf-8")


@pytest.mark.parametrize("page", with_blocks("python"))
def test_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMBIENTKIT_CACHE", str(tmp_path / "cache"))
    write_named(page, tmp_path)
    names: dict[str, Any] = {}
    found = blocks(page, "python")
    for number, text in enumerate(found):
        run_block(text, tmp_path / f"block_{page.stem.replace('-', '_')}_{number}.py", names, monkeypatch)
    assert found and names


def tutorial_recipes() -> list[Any]:
    return [
        pytest.param(page, name, id=name) for page in PAGES for name in named(page) if name.endswith(".yaml")
    ]


@pytest.mark.parametrize(("page", "name"), tutorial_recipes())
def test_tutorials_train_from_the_page_alone(page, name, tmp_path, monkeypatch):
    """Whoever copies the files of a page has a run."""
    monkeypatch.chdir(tmp_path)
    write_named(page, tmp_path)
    engine = Engine(files=[name.replace(".yaml", ".py")], discover=False, cache_dir="cache")
    result = engine.run(name, *FEW_STEPS, out="runs", device="cpu")
    assert result.step == 2
    if name == "tidy.yaml":
        assert len((result.folder / "tally.txt").read_text().splitlines()) == 2


def tutorial_plugins() -> list[Any]:
    found = ((page, name, text) for page in PAGES for name, text in named(page).items())
    marked = ((page, name) for page, name, text in found if "AMBIENTKIT_HOOK_API" in text)
    return [pytest.param(page, name, id=name) for page, name in marked]


@pytest.mark.parametrize(("page", "name"), tutorial_plugins())
def test_tutorials_keep_what_they_promise(page, name, tmp_path, monkeypatch):
    """`ambientkit check-plugin`, which the pages recommend, finds no fault in the plugins that they print."""
    monkeypatch.chdir(tmp_path)
    write_named(page, tmp_path)
    engine = Engine(files=[name], discover=False, cache_dir="cache")
    mine = [entry for entry in engine.plugins.registry if entry.name.startswith(f"{Path(name).stem}/")]
    for entry in mine:
        check_component(entry, plugins=engine.plugins)
    assert mine


def test_there_are_tutorials():
    assert {p.values[1] for p in tutorial_recipes()} == {"dim.yaml", "rain.yaml", "tidy.yaml"}


# Recipes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", with_blocks("yaml"))
def test_recipes_are_valid(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_named(page, tmp_path)
    files = sorted(tmp_path.glob("*.py"))
    engine = Engine(
        files=[file for file in files if "AMBIENTKIT_HOOK_API" in file.read_text()], discover=False
    )
    recipes = [yaml.safe_load(text) for text in blocks(page, "yaml")]
    whole = [recipe for recipe in recipes if "recipe" in recipe or "extends" in recipe]
    assert whole
    for recipe in whole:
        assert engine.validate(recipe) == []


def test_the_error_that_is_shown_is_the_one_that_comes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs/recipes.md"
    (smallest,) = (text for text in blocks(page, "yaml") if "name: smallest" in text)
    Path("smallest.yaml").write_text(smallest.replace("batch_size", "bacth_size"), "utf-8")
    (problem,) = Engine(discover=False).validate("smallest.yaml")
    assert f"\n{problem}\n" in page.read_text("utf-8")


def test_the_sources_that_the_guide_lists_are_valid():
    found = re.findall(r"`(\{kind: incomplete, .+?\})`", (ROOT / "docs/guide.md").read_text("utf-8"))
    assert len(found) == 4
    for text in found:
        recipe = {"extends": "incomplete_faces", "data": {"source": yaml.safe_load(text)}}
        assert Engine(discover=False).validate(recipe) == []


# Commands ---------------------------------------------------------------------------------------


def commands(text: str) -> list[list[str]]:
    """The words of each `ambientkit` command in a shell block or a recipe's header."""
    lines = [piece for line in text.splitlines() for piece in re.split(r"&&|\|", line)]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[1:] for line in words if line and line[0] == "ambientkit"]


def parse(words: list[str]) -> tuple[click.Command, dict[str, Any]]:
    """The verb and its arguments by click's own parser; raises UsageError on what it does not know."""
    group = click.Context(main, info_name="ambientkit")
    _, rest, _ = main.make_parser(group).parse_args(list(words))
    if not rest:
        return main, {}
    name, verb, rest = main.resolve_command(group, rest)
    assert verb is not None
    context = click.Context(verb, info_name=name, parent=group)
    given, surplus, _ = verb.make_parser(context).parse_args(list(rest))
    if surplus:
        raise click.UsageError(f"surplus: {surplus}")
    # What was not given is None, or a sentinel, depending on click's version.
    given = {name: value for name, value in given.items() if isinstance(value, str | tuple | list | bool)}
    for parameter in verb.params:
        value = given.get(parameter.name)
        if parameter.required and not value:
            raise click.MissingParameter(ctx=context, param=parameter)
        if isinstance(parameter.type, click.Choice | click.types.IntParamType) and value:
            parameter.type.convert(value, parameter, context)
    return verb, given


def all_commands() -> list[tuple[str, list[str]]]:
    places = {page.name: "\n".join(blocks(page, "sh", "console")) for page in PAGES}
    places |= {path.name: header(path) for path in shipped().values()}
    places["haze.yaml"] = header(ROOT / "docs/examples/haze.yaml")
    return [(name, words) for name, text in places.items() for words in commands(text)]


def header(path: Path) -> str:
    """The comment at the top of a recipe, its `ambientkit` lines alone, unmarked."""
    lines = [line.lstrip("# ") for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    return "\n".join(line for line in lines if line.startswith("ambientkit "))


@pytest.mark.parametrize(("place", "words"), all_commands())
def test_commands_parse(place, words):
    verb, given = parse(words)
    if verb.name in {"run", "validate", "show", "cp"} and "help" not in given:
        recipe, overrides = given["recipe"], given.get("overrides") or ()
        if recipe in shipped():
            problems = Engine(discover=False).validate(recipe, *overrides)
            assert all(problem.warning for problem in problems), f"{place}: {problems}"
        else:
            assert (ROOT / recipe).is_file() or recipe in {"mine.yaml", "incomplete.yaml", "dim.yaml"}, (
                f"{place}: {words}"
            )


def test_commands_are_found_and_faults_are_seen():
    found = all_commands()
    assert len(found) > 40
    used = {parse(words)[0].name for _, words in found}
    assert used >= set(main.commands), "verbs that no page and no recipe shows"
    for wrong in (
        ["runn", "quickstart"],
        ["run"],
        ["run", "quickstart", "--ouut", "x"],
        ["show", "a", "--device", "cpu"],
    ):
        with pytest.raises(click.UsageError):
            parse(wrong)


def test_every_option_of_every_verb_is_documented():
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    options = {
        option
        for verb in main.commands.values()
        for parameter in verb.params
        for option in parameter.opts
        if option.startswith("--")
    }
    assert len(options) > 10
    assert [option for option in sorted(options) if option not in text] == []


# Links and tables -------------------------------------------------------------------------------


def test_links_resolve():
    seen = 0
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text("utf-8"))):
            if target.startswith(("http://", "https://")):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name) if name else page
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(file), f"{page.name}: {target}"
            seen += 1
    assert seen > 30


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_pictures_are_small():
    pictures = list((ROOT / "docs/images").iterdir())
    assert pictures
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    for picture in pictures:
        assert picture.stat().st_size < 300_000
        assert picture.name in text, f"{picture.name} is shown nowhere"


def test_generated_tables_are_current():
    names = set()
    for page in PAGES:
        text = page.read_text("utf-8")
        names |= {found[1] for found in MARKED.findall(text)}
        assert made_anew(text) == text, f"{page.name} is not current; run: python tests/docs_tables.py"
    assert names == set(MAKERS)


def test_every_hook_has_a_heading_with_its_arguments():
    page = (ROOT / "docs/hooks.md").read_text("utf-8")
    headings = re.findall(r"^### (\w+\(.*\))$", page, re.MULTILINE)
    hooks = [
        f"{name}({', '.join(list(inspect.signature(hook).parameters)[1:])})"
        for group in (Registration, Lifecycle)
        for name, hook in vars(group).items()
        if inspect.isfunction(hook)
    ]
    assert len(hooks) == 13
    assert headings == hooks


def test_every_category_is_in_the_table_of_plugins():
    page = (ROOT / "docs/plugins.md").read_text("utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(kinds/\1\.md\) \| `register_", page, re.MULTILINE)
    assert tuple(rows) == CATEGORIES


def test_facts_are_those_of_the_contract():
    """docs/recipes.md names the facts that the docstring of `Options.facts` names."""
    section = (ROOT / "docs/recipes.md").read_text("utf-8").partition("## Facts")[2]
    told = set(
        re.findall(r"`([a-z_]+)`", "".join(line for line in section.splitlines() if line.startswith("|")))
    )
    contract = inspect.cleandoc(Options.facts.__doc__ or "")
    listed = contract.partition("Others find them")[0]
    assert told and told == set(re.findall(r"`([a-z_]+)`", listed))


def test_every_rule_has_a_row():
    """One row or more a rule; those that only warn are told below the table."""
    section = (ROOT / "docs/recipes.md").read_text("utf-8").partition("## Pairs that are refused")[2]
    rows = [line for line in section.partition("## Facts")[0].splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= len(ALL_RULES)


# The design -------------------------------------------------------------------------------------


def module_map() -> list[str]:
    text = (
        (ROOT / "docs/design.md")
        .read_text("utf-8")
        .partition("## Modules")[2]
        .partition("## Dependencies")[0]
    )
    return re.findall(r"^\| `(\w+(?:\.py|/))` \| \S", text, re.MULTILINE)


def modules() -> dict[str, list[Path]]:
    """The modules of the engine and its sub-packages, as the map names them, with their files."""
    found = {path.name: [path] for path in (ROOT / "ambientkit").glob("*.py")}
    for package in (ROOT / "ambientkit").glob("*/__init__.py"):
        found[f"{package.parent.name}/"] = sorted(package.parent.glob("*.py"))
    return found


def test_the_module_map_is_complete():
    listed = module_map()
    assert len(modules()) > 30
    assert sorted(listed) == sorted(modules())
    assert {"inspecting/", "testing/"} <= set(listed)


def test_modules_use_only_those_above_them():
    order = {name.removesuffix(".py").rstrip("/"): place for place, name in enumerate(module_map())}
    uses = {
        name.removesuffix(".py").rstrip("/"): set().union(*map(imports, files))
        for name, files in modules().items()
        if name != "__init__.py"
    }
    assert sum(map(len, uses.values())) > 100
    wrong = [
        f"{module} uses {used}"
        for module, found in sorted(uses.items())
        for used in sorted(found)
        if order[used] > order[module]
    ]
    assert wrong == []


def imports(path: Path) -> set[str]:
    """The modules of the engine that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "ambientkit":
            found |= {ambientkit._HOMES.get(name.name, name.name) for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ambientkit."):
            found.add(str(node.module).split(".")[1])
    return found


def test_every_promise_of_reliability_has_a_test():
    page = (ROOT / "docs/reliability.md").read_text("utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ") and "---" not in line]
    rows = [row for row in rows if row[0] != "| promise"]
    assert len(rows) > 25
    for row in rows:
        assert row[1] in {"all", "linux"}, row
        file, name = re.fullmatch(r"`(tests/\w+\.py)::(\w+)` \|", row[2]).groups()
        assert f"\ndef {name}(" in (ROOT / file).read_text("utf-8"), row[2]


def test_dependencies_are_explained():
    page = (ROOT / "docs/design.md").read_text("utf-8").partition("## Dependencies")[2]
    told = re.findall(r"^\| (\w+) \| ", page.partition("## What must")[0], re.MULTILINE)[1:]
    wanted = re.findall(r'^  "([a-z]+)>=', section("dependencies = ["), re.MULTILINE)
    assert told == wanted and wanted


def section(start: str) -> str:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    return text.partition(start)[2].partition("\n]")[0]


# README -----------------------------------------------------------------------------------------


def test_the_plugin_of_the_readme_is_the_example_and_has_twenty_lines():
    example = (ROOT / "docs/examples/haze.py").read_text("utf-8")
    shown = blocks(ROOT / "README.md", "python")[0]
    assert shown == example.partition('"""\n\n')[2]
    assert code_lines(shown) <= 20


def code_lines(text: str) -> int:
    """Lines that hold code: neither empty nor a docstring."""
    docs = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(bool(line.strip()) and number not in docs for number, line in enumerate(text.splitlines(), 1))


def test_the_api_of_the_readme_has_five_lines():
    shown = blocks(ROOT / "README.md", "python")[1]
    assert sum(not line.startswith("import ") for line in shown.splitlines() if line) == 5


def test_the_readme_says_its_two_commands_and_its_limits():
    text = (ROOT / "README.md").read_text("utf-8")
    for said in (
        "pip install -e . && ambientkit run recipes/quickstart.yaml",
        "pip install -e '.[dev]' && pytest",
        "invented",
        "no evidence",
        "diagnosis",
        "identify",
    ):
        assert said in text


# Help -------------------------------------------------------------------------------------------


def test_help_ends_with_examples_that_parse():
    assert len(main.commands) > 8
    for name, verb in main.commands.items():
        shown = commands((verb.epilog or "").replace("\b", ""))
        assert shown, f"{name} has no example"
        for words in shown:
            assert parse(words)[0] is verb or "--help" in words


def test_public_names_are_documented():
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    assert [name for name in ambientkit.__all__ if name not in text] == []


def test_docs_recipes_load_as_mappings():
    """`extends` works for recipes that are given as data, as the docs' are above."""
    plan = recipe_file.from_mapping(
        {"extends": "quickstart", "name": "child"}, Engine(discover=False).plugins
    )
    assert isinstance(plan.resolved(), Mapping) and plan.recipe.name == "child"
