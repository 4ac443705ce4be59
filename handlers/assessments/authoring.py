"""Tests: found, written, published, withdrawn."""

from handlers.assessments.declared import (
    AUTHOR,
    CHANGE_RATE,
    READ_RATE,
    assessments,
)
from handlers.assessments.definition import Definition, code_of, find_problems
from handlers.assessments.payloads import (
    ChangeTest,
    CreateTest,
    GetTest,
    ListTests,
    Test,
    TestGone,
    TestSummary,
    UpdateTest,
    read_rules,
)
from handlers.assessments.structure import find_difference
from server.auth import Identity
from server.context import Context
from server.contract import EVERYONE
from server.errors import Conflict, Invalid, NotFound, QuotaExceeded
from server.payload import Page
from storage import assessments as tests
from storage.accounts import Role
from storage.assessments import (
    Form,
    NewOption,
    NewQuestion,
    TestStatus,
    TestVersion,
    VersionStatus,
)
from storage.assessments import Test as TestRow

MAX_TESTS = 500
"""That one person may have written."""

NO_RULES = {"client_ref", "test_id", "questions"}
"""What of a request is kept elsewhere."""


@assessments.on("test:list", roles=EVERYONE, rate=READ_RATE, reads=True)
async def list_tests(ctx: Context, request: ListTests) -> Page[TestSummary]:
    """Published tests, and one's own whatever their status; the newest first."""
    rows, total = await tests.list_tests(
        ctx.db,
        reader_id=ctx.user.id,
        is_admin=ctx.user.role == Role.ADMIN,
        query=request.query,
        code=request.code,
        skip=request.skip,
        limit=request.limit,
    )
    items = [TestSummary.of(test, version, ctx.locale) for test, version in rows]
    return Page[TestSummary].of(request, items, total)


@assessments.on("test:get", roles=EVERYONE, rate=READ_RATE, reads=True)
async def get_test(ctx: Context, request: GetTest) -> Test:
    """A test with its questions in order: as it is published, or an earlier version of it.

    A draft is its author's alone.

    Raises: not_found.
    """
    test = await tests.get_test(ctx.db, request.test_id)
    if test is None:
        raise NotFound
    version = await tests.find_version(ctx.db, test.id, number=request.version)
    is_hidden = version is not None and version.status == VersionStatus.DRAFT
    if version is None or (is_hidden and not _owns(ctx.user, test)):
        raise NotFound
    return Test.whole(await tests.load_form(ctx.db, test, version), ctx.locale)


@assessments.on("test:create", roles=AUTHOR, rate=CHANGE_RATE)
async def create_test(ctx: Context, request: CreateTest) -> Test:
    """Write a test: a draft, which its author alone sees.

    A text is a string, or one for each language: `{"en": …, "ru": …}`. The first scale gives the
    total; without any it is the sum of all scored questions.

    Raises: invalid, quota_exceeded, conflict.
    """
    _check(request)
    if await tests.count_own_tests(ctx.db, ctx.user.id) >= MAX_TESTS:
        raise QuotaExceeded
    test = await tests.add_test(
        ctx.db,
        code=None,
        author_id=ctx.user.id,
        status=TestStatus.DRAFT,
        search=search_titles(request.title),
        now=ctx.now,
    )
    if test is None:
        raise Conflict
    ctx.audit("test.created", test_id=test.id)
    return await _add_draft(ctx, test, request)


@assessments.on("test:update", roles=AUTHOR, rate=CHANGE_RATE)
async def update_test(ctx: Context, request: UpdateTest) -> Test:
    """Write a test anew: the draft is replaced, or the next version begins as a draft.

    A version that was published stays as it is. Of a test that was shipped an admin may change the
    texts, not how it is scored.

    Raises: invalid, not_found, conflict.
    """
    test = await _access(ctx, request.test_id)
    _check(request)
    if test.status == TestStatus.RETIRED:
        raise Conflict
    draft = await tests.find_version(ctx.db, test.id, statuses=[VersionStatus.DRAFT])
    if test.code is not None:
        await _check_structure(ctx, test, request)
    if draft is not None:
        await tests.delete_version(ctx.db, draft.id)
    ctx.audit("test.updated", test_id=test.id)
    if test.status == TestStatus.DRAFT:
        await tests.update_test(ctx.db, test.id, search=search_titles(request.title))
    return await _add_draft(ctx, test, request, instead_of=draft)


@assessments.on("test:publish", roles=AUTHOR, rate=CHANGE_RATE)
async def publish_test(ctx: Context, request: ChangeTest) -> Test:
    """Let everybody have the draft. Results keep the version they were answered in.

    A shipped test needs to say which wording it has, and where that comes from.

    Raises: invalid, not_found, conflict.
    """
    test = await _access(ctx, request.test_id)
    draft = await tests.find_version(ctx.db, test.id, statuses=[VersionStatus.DRAFT])
    if draft is None or test.status == TestStatus.RETIRED:
        raise Conflict
    rules = read_rules(draft)
    if test.code is not None and (unsaid := sorted(set(rules.title) - set(rules.wordings))):
        path = f"wordings.{unsaid[0]}"
        raise Invalid.of(path, "missing", "Where the text comes from must be said")
    await tests.publish_version(ctx.db, test.id, ctx.now)
    await tests.update_test(
        ctx.db, test.id, status=TestStatus.PUBLISHED, search=search_titles(rules.title)
    )
    ctx.audit("test.published", test_id=test.id, version=draft.number)
    # As it is now: the statements above went past the rows that were read before.
    test = await _access(ctx, test.id)
    return Test.whole(await _load_form(ctx, test, VersionStatus.PUBLISHED), ctx.locale)


@assessments.on("test:delete", roles=AUTHOR, rate=CHANGE_RATE)
async def delete_test(ctx: Context, request: ChangeTest) -> TestGone:
    """Delete a test. One that has results is retired: it stays to be read, not to be answered.

    Raises: not_found.
    """
    test = await _access(ctx, request.test_id)
    ctx.audit("test.deleted", test_id=test.id)
    if test.status == TestStatus.DRAFT or not await tests.has_results(ctx.db, test.id):
        await tests.delete_test(ctx.db, test.id)
        return TestGone(test_id=test.id, status=None)
    await tests.update_test(ctx.db, test.id, status=TestStatus.RETIRED)
    return TestGone(test_id=test.id, status=TestStatus.RETIRED)


def new_questions(definition: Definition) -> list[NewQuestion]:
    return [
        NewQuestion(
            code=code_of(question, number),
            texts=question.text,
            scored=question.scored,
            required=question.scored if question.required is None else question.required,
            loinc=question.loinc,
            options=[
                NewOption(option.text, option.score, option.loinc) for option in question.options
            ],
        )
        for number, question in enumerate(definition.questions)
    ]


def search_titles(titles: dict[str, str]) -> str:
    return "\n".join(titles.values()).casefold()


def _owns(user: Identity, test: TestRow) -> bool:
    """Tests without an author are the house's."""
    return test.author_id == user.id or (test.author_id is None and user.role == Role.ADMIN)


async def _access(ctx: Context, test_id: int) -> TestRow:
    """A test that is this person's, which nobody else changes meanwhile.

    Raises: NotFound.
    """
    test = await tests.lock_test(ctx.db, test_id)
    if test is None or not _owns(ctx.user, test):
        raise NotFound
    return test


def _check(definition: Definition) -> None:
    if problems := find_problems(definition):
        raise Invalid(fields=problems)


async def _check_structure(ctx: Context, test: TestRow, request: UpdateTest) -> None:
    """Raises: Invalid where what is asked for is scored in another way than the test was."""
    is_new = test.status == TestStatus.DRAFT
    status = VersionStatus.DRAFT if is_new else VersionStatus.PUBLISHED
    before = await _load_form(ctx, test, status)
    if path := find_difference(read_rules(before.version), before.items, request):
        raise Invalid.of(path, "not_as_shipped", "Only the texts of this test may change")


async def _add_draft(
    ctx: Context, test: TestRow, request: Definition, *, instead_of: TestVersion | None = None
) -> Test:
    number = instead_of.number if instead_of else await tests.last_number(ctx.db, test.id) + 1
    await tests.add_version(
        ctx.db,
        test.id,
        number,
        status=VersionStatus.DRAFT,
        rules=request.model_dump(mode="json", exclude=NO_RULES),
        questions=new_questions(request),
        now=ctx.now,
    )
    form = await _load_form(ctx, test, VersionStatus.DRAFT)
    return Test.whole(form, ctx.locale)


async def _load_form(ctx: Context, test: TestRow, status: VersionStatus) -> Form:
    version = await tests.get_version(ctx.db, test.id, status)
    return await tests.load_form(ctx.db, test, version)
