"""Questions that a passage answers, in English, found by the shape of its sentences.

A question already in the text (an FAQ) is taken as it is; "You may buy your old laptop"
becomes "can i buy my old laptop"; "Register two passkeys" becomes "how do i register two
passkeys"; "X is a …" becomes "what is X". In other languages only questions already in the text
are used.
"""

import re

import numpy as np

from relevance_distillery.synthesizers.seed_passage import SeedPassage
from relevance_distillery.text.language import WORD, words

_MAX_WORDS = 12
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z\"“(])")
_QUESTION = re.compile(r"^[\"“]?([A-Z][^.!:;\n]{8,110}\?)")
_DANGLING = words("it this that these those they them one he she him her its both")
_DETERMINERS = words("the a an your all every each two both any our")
_IMPERATIVES = words(
    """add apply ask attach avoid book bring buy cancel change charge check choose claim clean clear
    close collect configure connect contact copy create declare delete deploy disable download edit
    enable enter escalate export file fill find fix follow format get give hand import inform
    install invite join label link lock log mail make map measure merge migrate mount move name
    open order pack pay phone pick place plan post prepare print publish push put read rebuild
    record recover register reject release remove rename renew rent repeat replace reply report
    request reserve reset restart restore return review revoke roll rotate route run save schedule
    scan select sell send set share ship sign start stop store submit swap switch take tell test
    transfer turn uninstall unlock update upgrade upload use verify visit wipe write"""
)
_STOP_AT = re.compile(
    r"\s*(?:[,.;:()!?–—\"“”]| - |\b(?:because|which|unless|until|so that|but|where|who|while|"
    r"whose|since|although|before you|after you|and (?:then|a|the|it|we|you|they))\b)"
)
_MODAL = re.compile(
    r"\b(?:you|employees|everyone|everybody|staff|anyone|contractors|we)\s+"
    r"(can(?:not)?|(?:may|must|should)(?: not)?|(?:need|have) to|are (?:not )?allowed to)"
    r"\s+(?!be\b|also\b|only\b|always\b|not\b|have been\b)(\w.*)",
    flags=re.IGNORECASE,
)
_NEGATED = re.compile(r"^(?:Do not|Don't|Never)\s+(\w.*)")
_DEFINITION = re.compile(
    r"^(?:The |A |An )?([\w'-]+(?: [\w'-]+){0,2}) (?:is|are) (?:a|an|the|our)\s+\w"
)
_APPROVES = re.compile(r"\bapproves? (?:the |a |an |your |all )?([a-z][\w-]+(?: [a-z][\w-]+)?)")
_RULES = words("policy guide guidelines faq rules standard handbook playbook manual agreement")
_RELATIVE = words("what which that how who whom where if whatever everything all anything")
_MEETINGS = words("minutes meeting steering weekly retro retrospective recap decision")
_ASKING = words(
    """who whom whose what when where why which how can could may might must should shall will would
    do does did is are am was were have has had i my"""
)
_CONDITION = re.compile(r"^(?:If|When|In case) (you|your)\b ([^,.:;()]{4,60}),", re.IGNORECASE)
_SYMPTOM = re.compile(r"\b(?:cannot|can't|is|are|has|have|gets?|shows?|fails?|hangs?|says?)\b")
_MONEY = re.compile(
    r"((?:[\w-]+ ){0,2}(?:cap|price|fee|budget|allowance|limit|rate|deposit|bonus|per diem))"
    r"\s*(?:is|of|at|:|=|up to|at most)?\s*(?:EUR|USD|SEK|SGD|GBP|€|\$|£|S\$)\s?\d",
    flags=re.IGNORECASE,
)
_AGREEMENT = re.compile(r"\bi (are|were)\b")
_SWAPS = {"your": "my", "yours": "mine", "you": "i", "yourself": "myself", "our": "our"}


def questions(passage: SeedPassage, rng: np.random.Generator) -> list[str]:
    """Questions in order of preference, in the case of the text, without question marks."""
    english = passage.corpus.language.name == "english"
    found = [_asked(passage)]
    if english:
        found += [_how_to(passage), _from_sentences(passage), _figures(passage)]
    shaped = [group[place] for group in found for place in rng.permutation(len(group))]
    if english:
        # What the kind of document answers is asked now and then although the text has more.
        general = _by_kind(passage, rng)
        shaped = [*general[:1], *shaped] if rng.random() < 0.2 else [*shaped, *general[:2]]
    return [question for question in dict.fromkeys(shaped) if _is_specific(question, passage)]


def _is_specific(question: str, passage: SeedPassage) -> bool:
    words = [word.lower() for word in WORD.findall(question)]
    language = passage.corpus.language
    common = language.stop_words | language.weak_words
    rare = [w for w in words if w not in common and passage.corpus.idf(language.stem(w)) > 1.0]
    dangling = sum(word in _DANGLING for word in words[1:])
    return 3 <= len(words) <= _MAX_WORDS and len(rare) >= 1 + 2 * dangling


def _sentences(passage: SeedPassage) -> list[str]:
    parts = (_SENTENCE.split(block) for block in [passage.heading, *passage.blocks])
    return [sentence.strip() for part in parts for sentence in part if sentence.strip()]


def _asked(passage: SeedPassage) -> list[str]:
    language, core = passage.corpus.language, " ".join(passage.core)
    about = set(language.stems(core))
    found: list[str] = []
    for sentence in _sentences(passage):
        if match := _QUESTION.match(sentence):
            asked = match.group(1).rstrip("? ")
            if language.name == "english" and asked.split()[0].lower() not in _ASKING:
                continue
            stems = set(language.stems(asked, content_only=True))
            # "Who pays?" is clear on its page; a searcher has to say what it is about.
            found.append(asked if stems & about or len(stems) > 2 else f"{asked} {core}")
    return found


def _how_to(passage: SeedPassage) -> list[str]:
    found: list[str] = []
    for name in (passage.heading, passage.title):
        words = name.split()
        symptom = name.partition(": ")[2] if ": " in name else name
        if symptom[:3].lower() in ("my ", "i c", "i h") or (
            passage.kind in ("runbook", "how to", "incident")
            and 3 <= len(symptom.split()) <= 7
            and _SYMPTOM.search(symptom)
        ):
            found.append(f"what to do when {symptom[0].lower()}{symptom[1:]}")
            continue
        if not 2 <= len(words) <= 8 or name.endswith("?"):
            continue
        first = words[0].lower()
        if first == "how" and words[1].lower() == "to" and len(words) > 2:
            found.append(_first_person(" ".join(words)))
        elif first in _IMPERATIVES and words[1].lower() not in ("and", "of", "for", "rules"):
            found.append(f"how do i {_first_person(_cut(name))}")
        elif first.endswith("ing"):
            stem = first.removesuffix("ing")
            doubled = stem[:-1] if len(stem) > 2 and stem[-1] == stem[-2] else stem
            verb = next((form for form in (stem, f"{stem}e", doubled) if form in _IMPERATIVES), "")
            if verb:
                found.append(f"how do i {_first_person(_cut(' '.join([verb, *words[1:]])))}")
    return found


def _from_sentences(passage: SeedPassage) -> list[str]:
    found: list[str] = []
    for sentence in _sentences(passage):
        words = sentence.split()
        if modal := _MODAL.search(sentence):
            verb, rest = modal.group(1).lower(), _cut(modal.group(2))
            before = sentence[: modal.start()].lower().split()[-3:]
            if _begins_with_verb(rest) and not _RELATIVE & set(before):
                asks = "do i have to" if verb.startswith(("must", "need", "have")) else "can i"
                asks = "can i" if "not" in verb else asks
                asks = "should i" if verb == "should" else asks
                found.append(f"{asks} {_first_person(rest)}")
        elif condition := _CONDITION.match(sentence):
            rest = _first_person(f"{condition.group(1).lower()} {condition.group(2)}")
            if len(rest.split()) <= 9:
                found.append(f"what to do if {rest}")
        elif negated := _NEGATED.match(sentence):
            rest = _cut(negated.group(1))
            if _begins_with_verb(rest):
                found.append(f"can i {_first_person(rest)}")
        elif words[0].lower() in _IMPERATIVES and words[0][0].isupper() and len(words) > 2:
            rest = _cut(sentence)
            # Without an article the first word is a noun: "Release notes for", "Test lab".
            if words[1].lower() in _DETERMINERS and 3 <= len(rest.split()) <= 8:
                asks = "where do i" if words[0].lower() in ("find", "send", "file") else "how do i"
                found.append(f"{asks} {_first_person(rest)}")
        elif named := _DEFINITION.match(sentence):
            stop = passage.corpus.language.stop_words
            thing = named.group(1).split()
            if not any(w.lower() in stop for w in thing) and any(w[0].isupper() for w in thing):
                found.append(f"what is {named.group(1)}")
    return found


def _begins_with_verb(clause: str) -> bool:
    """Whether two to nine words follow a modal or a negation, no article first."""
    words = clause.split()
    return 2 <= len(words) <= 9 and words[0].lower() not in _DETERMINERS


def _figures(passage: SeedPassage) -> list[str]:
    found: list[str] = []
    core = " ".join(passage.core)
    for block in passage.blocks:
        if (match := _MONEY.search(block)) and core:
            thing = " ".join(match.group(1).lower().split())
            known = {word.lower() for word in passage.core}
            extra = "" if known & set(thing.split()) else f" {core}"
            found.append(f"how much is the {thing}{extra}")
        if (match := _APPROVES.search(block)) and match.group(1).split()[-1] not in _DANGLING:
            found.append(f"who approves {match.group(1)}")
    return found


def _by_kind(passage: SeedPassage, rng: np.random.Generator) -> list[str]:
    """What is asked of a kind of document: the decision of a meeting, the cause of an incident."""
    core = " ".join(passage.core)
    if not core:
        return []
    kind, stem = passage.kind, passage.corpus.language.stem
    known = {stem(word) for word in passage.core}
    named = core if stem(kind) in known else f"{core} {kind}"
    best = next(
        (
            phrase.text
            for phrase in passage.phrases
            if phrase.source != "title"
            and len(phrase.words) > 1
            and not set(phrase.words) & set(passage.core)
            and passage.corpus.nounlike(phrase.words[-1]) > 0.5
        ),
        "",
    )
    ways: list[str] = []
    if kind in _RULES:
        ways = [f"where can i find the {named}"]
        ways += [f"what does the {named} say about {best}"] * 2 if best else []
    elif kind in _MEETINGS:
        ways = [f"what was decided in {named}"]
        ways += [f"what did we decide about {best}"] if best else []
    elif kind in ("incident", "rca", "postmortem", "timeline"):
        ways = [f"what caused {core}", f"what happened in {core}"]
    elif kind in ("plan", "roadmap", "proposal", "project"):
        ways = [f"what is the status of {core}", f"who is responsible for {core}"]
    elif kind and kind != "how to" and rng.random() < 0.5:
        ways = [f"where can i find the {named}"]
        ways += [] if kind.endswith("s") else [f"is there a {named}"]
    elif len(passage.core) == 1 and passage.corpus.is_name(core) and rng.random() < 0.5:
        ways = [f"what is {core}", f"who is responsible for {core}"]
    if passage.corpus.nounlike(passage.core[-1]) < 0.5 or passage.core[-1].isdigit():
        ways = []
    return [ways[place] for place in rng.permutation(len(ways))]


def _cut(text: str) -> str:
    """The beginning of a clause, up to its first break."""
    return _STOP_AT.split(text, maxsplit=1)[0].strip(" '\"*")


def _first_person(text: str) -> str:
    words = text.split()
    if words:
        words[0] = words[0] if words[0].isupper() else words[0][0].lower() + words[0][1:]
    swapped = " ".join(_SWAPS.get(word.lower(), word) for word in words)
    return _AGREEMENT.sub(lambda match: "i am" if match.group(1) == "are" else "i was", swapped)
