"""Which results can be held against each other."""

from handlers.assessments.payloads import read_rules
from handlers.assessments.structure import is_scored_alike
from server.context import Context
from storage import assessments as tests
from storage.assessments import Test, TestVersion

MAX_VERSIONS = 50
"""Of a test that are gone through; results of older ones are no longer compared."""


async def find_alike(ctx: Context, test: Test, version: TestVersion) -> list[int] | None:
    """The versions of a test whose totals mean what this one's do; None where all of them do.

    What is shipped is always scored alike. Psychologists may write another version otherwise.
    """
    if test.code is not None:
        return None
    versions = await tests.list_versions(ctx.db, test.id, limit=MAX_VERSIONS)
    if len(versions) == 1:
        return None
    items = await tests.load_items(ctx.db, {version.id, *(one.id for one in versions)})
    rules, mine = read_rules(version), items[version.id]
    return [
        one.id for one in versions if is_scored_alike(rules, mine, read_rules(one), items[one.id])
    ]
