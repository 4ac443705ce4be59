"""The settings as people read them: `.env.example` and a table in the README."""

from pathlib import Path

from pydantic import SecretStr

from server.settings import Settings

START, END = "<!-- settings: generated -->", "<!-- settings: end -->"


def write_settings(root: Path) -> list[Path]:
    example, readme = root / ".env.example", root / "README.md"
    example.write_text(render_example())
    readme.write_text(insert_table(readme.read_text()))
    return [example, readme]


def render_example() -> str:
    lines = ["# Copy to .env and change what you need. Everything has a default.", ""]
    for name, field in Settings.model_fields.items():
        lines += [f"# {field.description}", f"# {name.upper()}={_show(field.default)}", ""]
    return "\n".join(lines)


def insert_table(readme: str) -> str:
    """The README with its table of settings renewed between the two marks."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{render_table()}{END}{after}"


def render_table() -> str:
    rows = [
        f"| `{name.upper()}` | `{_show(field.default)}` | {field.description} |"
        if _show(field.default)
        else f"| `{name.upper()}` | | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows]) + "\n"


def _show(default: object) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return "" if default == () else str(default)
