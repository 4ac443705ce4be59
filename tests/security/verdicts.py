r"""Who gets what by another person's ids: one line for every event, and for every route with ids.

Anna and Boris are a patient and a psychologist who work together. A line asks for something of
theirs, as somebody who is

    patient       a patient of somebody else
    fellow        another patient of Boris
    psychologist  a psychologist of somebody else
    former        a psychologist whose relation with Anna ended
    pending       a psychologist who waits for approval
    admin
    partner       a merchant, trader, team lead or supporter: each of them in turn

and who must get

    own    what was asked for, with nothing in it but what is the asker's own
    empty  an answer that holds nothing
    owner  everything, because this is whose business it is; asked last, as the owner is
    401 unauthenticated, 403 forbidden, 404 not found, 422 invalid

Who is not signed in gets 401 everywhere. The owner's request for the same thing must
succeed after everybody else's was refused: otherwise the refusals prove nothing. What follows a
comma in the first column tells several attempts at one event apart; `requests.py` has what each
of them asks for.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

FILE = "tests/security/verdicts.py"


class Kind(StrEnum):
    """Who asks."""

    PATIENT = "patient"
    FELLOW = "fellow"
    PSYCHOLOGIST = "psychologist"
    FORMER = "former"
    PENDING = "pending"
    ADMIN = "admin"
    MERCHANT = "merchant"
    TRADER = "trader"
    TEAM_LEAD = "team_lead"
    SUPPORT = "support"


PARTNERS = (Kind.MERCHANT, Kind.TRADER, Kind.TEAM_LEAD, Kind.SUPPORT)
COLUMNS = (
    (Kind.PATIENT,),
    (Kind.FELLOW,),
    (Kind.PSYCHOLOGIST,),
    (Kind.FORMER,),
    (Kind.PENDING,),
    (Kind.ADMIN,),
    PARTNERS,
)


class Verdict(StrEnum):
    OWN = "own"
    EMPTY = "empty"
    OWNER = "owner"
    UNAUTHENTICATED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    INVALID = "422"

    @property
    def code(self) -> str | None:
        """The code of the error; None where the answer is none."""
        return self.name.lower() if self.value.isdigit() else None


TABLE = r"""
                                owner  patient  fellow  psychologist  former  pending  admin  partner

/account profile:get            anna   own      own     own           own     own      own    own
/account profile:update         anna   own      own     own           own     own      own    own
/account profile:update, face   anna   422      422     422           422     422      422    422
/account settings:get           anna   own      own     own           own     own      own    own
/account settings:update        anna   own      own     own           own     own      own    own
/account schedule:update        anna   own      own     own           own     own      own    own
/account quiet_hours:update     anna   own      own     own           own     own      own    own
/account device:register        anna   own      own     own           own     own      own    own
/account device:remove          anna   404      404     404           404     404      404    404
/account session:list           anna   own      own     own           own     own      own    own
/account session:end            anna   404      404     404           404     404      404    404
/account export:list            anna   own      own     own           own     own      own    own

/chat chat:open                 boris  403      403     403           403     403      403    403
/chat chat:list                 boris  own      own     own           own     403      403    403
/chat chat:get                  boris  404      404     404           404     403      403    403
/chat message:send              anna   404      404     404           404     403      403    403
/chat message:send, her file    anna   422      422     422           422     403      403    403
/chat message:edit              boris  404      404     404           404     403      403    403
/chat message:delete            boris  404      404     404           404     403      403    403
/chat message:history           anna   404      404     404           404     403      403    403
/chat message:history, before   anna   404      404     404           404     403      403    403
/chat message:delivered         anna   404      404     404           404     403      403    403
/chat message:read              anna   404      404     404           404     403      403    403
/chat unread:get                anna   own      own     own           own     403      403    403
/chat typing:set                boris  404      404     404           404     403      403    403
/chat presence:get              boris  empty    empty   empty         empty   403      403    403

/notifications notification:list      anna  own  own    own           own     own      own    own
/notifications notification:read      anna  404  404    404           404     404      404    404
/notifications notification:read_all  anna  own  own    own           own     own      own    own
/notifications unread:get             anna  own  own    own           own     own      own    own
/notifications preference:list        anna  own  own    own           own     own      own    own
/notifications preference:set         anna  own  own    own           own     own      own    own
/notifications subscription:list      anna  own  own    own           own     own      own    own
/notifications subscription:set       anna  own  own    own           own     own      own    own

/mood entry:add                 anna   own      422     own           own     403      403    403
/mood entry:update              anna   404      404     404           404     403      403    403
/mood entry:delete              anna   404      404     404           404     403      403    403
/mood entry:list                anna   own      own     own           own     403      403    403
/mood entry:list, hers          boris  404      404     404           404     403      403    403
/mood series:get                boris  404      404     404           404     403      403    403
/mood compare:get               boris  404      404     404           404     403      403    403
/mood correlation:get           boris  404      404     404           404     403      403    403

/assessments test:list          anna   own      own     own           own     own      own    own
/assessments test:get           boris  404      404     404           404     404      404    404
/assessments test:create        boris  403      403     own           own     403      own    403
/assessments test:update        boris  403      403     404           404     403      404    403
/assessments test:publish       boris  403      403     404           404     403      404    403
/assessments test:delete        boris  403      403     404           404     403      404    403
/assessments draft:save         anna   own      own     403           403     403      403    403
/assessments draft:get          anna   own      own     403           403     403      403    403
/assessments result:list        anna   own      own     own           own     403      403    403
/assessments result:patient     boris  403      403     404           404     403      403    403
/assessments result:get         boris  404      404     404           404     403      403    403
/assessments result:compare     boris  404      404     404           404     403      403    403
/assessments result:export      anna   own      own     own           own     403      403    403
/assessments result:export, hers   boris  404   404     404           404     403      403    403
/assessments alert:list         boris  403      403     own           own     403      own    403
/assessments alert:acknowledge  boris  403      403     404           404     403      404    403
/assessments alert:resolve      boris  403      403     404           404     403      404    403
/assessments crisis:get         anna   own      own     own           own     own      own    own

/care relation:invite           boris  403      403     own           own     403      403    403
/care relation:accept           anna   404      404     403           403     403      403    403
/care relation:decline          anna   404      404     403           403     403      403    403
/care relation:list             anna   own      own     own           own     403      403    403
/care patient:list              boris  403      403     own           own     403      403    403
/care patient:stats             boris  403      403     404           404     403      403    403
/care relation:end              boris  404      404     404           404     403      403    403

/goals goal:create              anna   own      own     own           own     own      own    own
/goals goal:list                anna   own      own     own           own     own      own    own
/goals goal:list_archived       anna   own      own     own           own     own      own    own
/goals goal:get                 anna   404      404     404           404     404      404    404
/goals goal:update              anna   404      404     404           404     404      404    404
/goals goal:archive             anna   404      404     404           404     404      404    404
/goals goal:restore             anna   404      404     404           404     404      404    404
/goals stage:add                anna   404      404     404           404     404      404    404
/goals stage:add, behind hers   anna   404      404     404           404     404      404    404
/goals stage:update             anna   404      404     404           404     404      404    404
/goals stage:reorder            anna   404      404     404           404     404      404    404
/goals stage:reorder, by hers   anna   404      404     404           404     404      404    404
/goals stage:complete           anna   404      404     404           404     404      404    404
/goals stage:undo               anna   404      404     404           404     404      404    404
/goals attachment:add           anna   404      404     404           404     404      404    404
/goals attachment:add, to mine  anna   422      422     422           422     422      422    422
/goals attachment:remove        anna   404      404     404           404     404      404    404
/goals reminder:set             anna   404      404     404           404     404      404    404
/goals reminder:set, her times  anna   404      404     404           404     404      404    404
/goals reminder:list            anna   own      own     own           own     own      own    own
/goals reminder:list, of hers   anna   own      own     own           own     own      own    own
/goals reminder:snooze          anna   404      404     404           404     404      404    404
/goals reminder:delete          anna   404      404     404           404     404      404    404
/goals suggestion:accept        anna   404      404     404           404     404      404    404
/goals suggestion:accept, mine  anna   404      404     404           404     404      404    404
/goals suggestion:refuse        anna   404      404     404           404     404      404    404
/goals ai:split                 anna   404      404     404           404     404      404    404
/goals ai:cancel                anna   404      404     404           404     404      404    404
/goals stage:delete             anna   404      404     404           404     404      404    404
/goals goal:delete              anna   404      404     404           404     404      404    404
/goals achievement:list         anna   own      own     own           own     own      own    own

/admin job:list                 admin  403      403     403           403     403      owner  403
/admin job:retry                admin  403      403     403           403     403      owner  403
/admin job:drop                 admin  403      403     403           403     403      owner  403
/admin backlog:get              admin  403      403     403           403     403      owner  403

GET /uploads/{upload_id:\d+}, of a message            boris  404   404   404   404   404   404   404
GET /uploads/{upload_id:\d+}, unused                  anna   404   404   404   404   404   404   404
GET /uploads/{upload_id:\d+}, of a goal               anna   404   404   404   404   404   404   404
GET /uploads/{upload_id:\d+}/thumbnail, of a goal     anna   404   404   404   404   404   404   404
GET /uploads/{upload_id:\d+}, her face                anna   404   404   404   404   404   404   404
GET /uploads/{upload_id:\d+}/thumbnail, of a message  boris  404   404   404   404   404   404   404
GET /uploads/{upload_id:\d+}/thumbnail, unused        anna   404   404   404   404   404   404   404
GET /account/exports/{export_id:\d+}                  anna   404   404   404   404   404   404   404
GET /uploads/{upload_id:\d+}/thumbnail, her face      anna   404   404   404   404   404   404   404
"""

WITHOUT_IDS = {
    "POST /auth/register",
    "POST /auth/login",
    "POST /auth/refresh",
    "POST /auth/logout",
    "POST /auth/forgot-password",
    "POST /auth/reset-password",
    "POST /auth/token",
    "PUT /account/password",
    "POST /account/export",
    "DELETE /account",
    "DELETE /account/data",
    "GET /auth/google/login",
    "GET /auth/google/callback",
    "GET /unsubscribe",
    "POST /unsubscribe",
    "POST /uploads",
}
"""Routes that open nothing by an id: they ask for a secret, or are about the asker alone."""

FOR_ALL = {r"POST /tests/{id:\d+}/submit"}
"""Routes whose ids everybody may see: what is a draft of somebody is `not_found`, as of events."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt at one event or route."""

    label: str
    owner: str
    verdicts: dict[Kind, Verdict]

    @property
    def call(self) -> str:
        """The event with its namespace, or the route."""
        return self.label.partition(", ")[0]

    @property
    def is_route(self) -> bool:
        return not self.label.startswith("/")


def _read_table() -> tuple[Row, ...]:
    _, *lines = filter(None, TABLE.splitlines())
    return tuple(map(_read_line, lines))


def _read_line(line: str) -> Row:
    label, owner, *words = re.split(r"\s{2,}", line)
    verdicts = {
        kind: Verdict(word) for kinds, word in zip(COLUMNS, words, strict=True) for kind in kinds
    }
    return Row(label, owner, verdicts)


ROWS = _read_table()
EVENTS = tuple(row for row in ROWS if not row.is_route)
ROUTES = tuple(row for row in ROWS if row.is_route)
