"""Results for other systems: HL7 FHIR R4 resources, as plain JSON values.

`Questionnaire`, `QuestionnaireResponse` and, for the total, an `Observation` derived from it. Link
ids are those of LOINC's own forms ("/44250-9"); the weight of an answer is R4's extension
`ordinalValue`. Scores are ours: nothing here is reckoned anew.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from handlers.assessments.definition import UNDETERMINED, Rules, pick
from handlers.assessments.payloads import number, read_rules
from server.payload import iso
from storage.assessments import AnswerOption, Form, Item, Question, Result, VersionStatus

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
STATUSES = {
    VersionStatus.DRAFT: "draft",
    VersionStatus.PUBLISHED: "active",
    VersionStatus.SUPERSEDED: "retired",
}

Json = dict[str, Any]


def write_bundle(forms: Mapping[int, Form], results: Sequence[Result], url: str) -> Json:
    """Results with the versions they were answered in, by version id; `url` is this server's."""
    used = sorted({result.version_id for result in results})
    resources = [write_questionnaire(forms[version_id], url) for version_id in used]
    for result in results:
        form = forms[result.version_id]
        resources += [write_response(form, result, url), write_total(form, result)]
    entries = [
        {"fullUrl": f"{url}/fhir/{one['resourceType']}/{one['id']}", "resource": one}
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def write_questionnaire(form: Form, url: str) -> Json:
    rules, version = read_rules(form.version), form.version
    title = pick(rules.title, "en")
    questionnaire: Json = {
        "resourceType": "Questionnaire",
        "id": f"{_slug(form)}-{version.number}",
        "url": _canonical(form, url),
        "version": str(version.number),
        "name": "".join(part.capitalize() for part in _slug(form).split("-")),
        **_say("title", rules.title),
        "status": STATUSES[VersionStatus(version.status)],
        "subjectType": ["Patient"],
        "item": [
            *_write_instructions(rules),
            *(_write_question(item, _canonical(form, url)) for item in form.items),
            {
                "linkId": _total_link(rules),
                "text": "Total score",
                "type": "decimal",
                "readOnly": True,
            },
        ],
    }
    if rules.licence:
        questionnaire["copyright"] = rules.licence.notice
    if rules.loinc.panel:
        questionnaire["code"] = [_code(LOINC, rules.loinc.panel, title)]
    return questionnaire


def write_response(form: Form, result: Result, url: str) -> Json:
    rules, canonical = read_rules(form.version), _canonical(form, url)
    chosen = {question_id: option_id for question_id, option_id, _ in result.answers}
    response: Json = {
        "resourceType": "QuestionnaireResponse",
        "id": f"result-{result.id}",
        "questionnaire": f"{canonical}|{form.version.number}",
        "status": "completed",
        "subject": {"reference": f"Patient/{result.user_id}"},
        "authored": iso(result.created_at),
        "item": [
            *(
                _write_answer(item, chosen.get(item.question.id), result.language, canonical)
                for item in form.items
            ),
            {"linkId": _total_link(rules), "answer": [{"valueDecimal": number(result.total)}]},
        ],
    }
    if result.language != UNDETERMINED:
        response["language"] = result.language
    return response


def write_total(form: Form, result: Result) -> Json:
    rules = read_rules(form.version)
    title = f"{pick(rules.title, 'en')}: total score"
    code: Json = {"text": title}
    if rules.loinc.total:
        code["coding"] = [_code(LOINC, rules.loinc.total, title)]
    observation: Json = {
        "resourceType": "Observation",
        "id": f"total-{result.id}",
        "status": "final",
        "code": code,
        "subject": {"reference": f"Patient/{result.user_id}"},
        "effectiveDateTime": iso(result.created_at),
        "valueQuantity": {
            "value": number(result.total),
            "unit": "{score}",
            "system": UCUM,
            "code": "{score}",
        },
        "derivedFrom": [{"reference": f"QuestionnaireResponse/result-{result.id}"}],
    }
    if result.severity:
        names = {band.code: pick(band.text, "en") for band in rules.scales[0].bands}
        observation["interpretation"] = [{"text": names[result.severity]}]
    return observation


def _write_instructions(rules: Rules) -> Iterator[Json]:
    """What is said before the questions, which would mean little without it."""
    if rules.instructions:
        yield {
            "linkId": "/instructions",
            **_say("text", rules.instructions),
            "type": "display",
        }


def _write_question(item: Item, canonical: str) -> Json:
    question = item.question
    written: Json = {
        "linkId": _link(question),
        **_say("text", question.texts),
        "type": "choice",
        "required": question.required,
        "answerOption": [
            {
                "valueCoding": {
                    **_write_option(question, option, "en", canonical),
                    **_say("display", option.texts),
                }
            }
            for option in item.options
        ],
    }
    if question.loinc:
        written["code"] = [_code(LOINC, question.loinc, pick(question.texts, "en"))]
    return written


def _write_answer(item: Item, option_id: int | None, language: str, canonical: str) -> Json:
    """Without an answer, where there was none: a missing one is not to look like a zero."""
    question = item.question
    written: Json = {"linkId": _link(question), "text": pick(question.texts, language)}
    for option in item.options:
        if option.id == option_id:
            coding = _write_option(question, option, language, canonical)
            written["answer"] = [{"valueCoding": coding}]
    return written


def _write_option(question: Question, option: AnswerOption, language: str, canonical: str) -> Json:
    text = pick(option.texts, language)
    if option.loinc:
        coding = _code(LOINC, option.loinc, text)
    else:
        coding = _code(f"{canonical}/answers", f"{question.code}-{option.position + 1}", text)
    if option.score is not None and question.scored:
        coding["extension"] = [{"url": ORDINAL, "valueDecimal": number(option.score)}]
    return coding


def _say(name: str, words: Mapping[str, str]) -> Json:
    """A text under this name, with its translations beside it."""
    said: Json = {name: pick(words, "en")}
    if others := list(_translate(words)):
        said[f"_{name}"] = {"extension": others}
    return said


def _translate(words: Mapping[str, str]) -> Iterable[Json]:
    shown = pick(words, "en")
    for language, text in sorted(words.items()):
        if text != shown and language != UNDETERMINED:
            yield {
                "url": TRANSLATION,
                "extension": [
                    {"url": "lang", "valueCode": language},
                    {"url": "content", "valueString": text},
                ],
            }


def _code(system: str, code: str, display: str) -> Json:
    return {"system": system, "code": code, "display": display}


def _link(question: Question) -> str:
    return f"/{question.loinc or question.code}"


def _total_link(rules: Rules) -> str:
    return f"/{rules.loinc.total or 'total'}"


def _slug(form: Form) -> str:
    return form.test.code or f"test-{form.test.id}"


def _canonical(form: Form, url: str) -> str:
    return f"{url}/fhir/Questionnaire/{_slug(form)}"
