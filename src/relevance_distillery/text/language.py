"""Words, stop words and stems of a language."""

import re
from functools import cached_property

from relevance_distillery.text.terms import Analyzer
from relevance_distillery.text.words import WORD_PART, cut, lower

WORD = re.compile(rf"{WORD_PART}(?:[-'’.&]{WORD_PART})*")
"""A word with its inner hyphens, apostrophes and points: `INC-2417`, `don't`, `5.0`."""

_ENGLISH = """
a about above across after again against all almost alone along already also although always am
among an and another any anybody anyone anything anyway anywhere are around as ask at away be
became because become been before behind being below beside besides between beyond both but by came
can cannot can't cause come comes could couldn't did didn't do does doesn't doing don't done down
due during each either else enough especially etc even ever every everybody everyone everything
everywhere exactly except few first for from further gave get gets getting give given gives go goes
going gone got had has have haven't having he he's hence her here here's hers herself him himself
his how however i i'd i'll i'm i've if in indeed instead into is isn't it it's its itself just keep
kept know known last later least less let let's like likely made mainly make makes making many may
maybe me mean means might mine more most mostly much must my myself near nearly need needed needs
neither never next no nobody none nor not nothing now nowhere of off often on once one ones only
onto or other others otherwise our ours ourselves out over own per perhaps please put quite rather
really said same saw say says see seem seems seen several shall she should shouldn't since so some
somebody somehow someone something sometimes somewhere still such sure take taken takes than thank
thanks that that's the their theirs them themselves then there there's therefore these they they're
thing things think this those though through thus till to today together too took toward towards
tried tries try two under unless until up upon us use used uses using usually very via want wanted
wants was wasn't way we we're we've well went were weren't what what's whatever when whenever where
wherever whether which while who who's whoever whole whom whose why will with within without won't
would wouldn't yes yet you you'll you're you've your yours yourself three four five six seven eight
nine ten e.g i.e vs ok okay unfortunately currently previously recently simply able lot lots kind
sort bit nobody's old new good bad big small right left long short full little early late soon ago
true real half twice second third fourth main
"""
_WEAK_ENGLISH = """
add added adds agree agreed allow allowed allows answer answers apply applies arrive arrives asked
asks became begin begins believe better best bring broke brought buy call called calls care carried
cause caused change changed changes check checked checks choose chose clear close closed closes
compare complete completed contain contains continue copy correct cost costs count counted counts
cover covered covers create created creates cut deal decide decided depends describe described
differs different does easy ended ends enter exist exists expect expected explain explains fail
failed fails feel fell felt fill fills find finds fits fix fixed follow followed following follows
found gets great grew grow hand handed happen happened happens hard held help helped helps hold
holds hope include included includes including increase join joined knew lead learn learned leave
leaves led lets list lives look looked looking looks lose loses lost low lower matter matters meet
meets met miss missed mention mentioned minute minutes move moved moves named names needs noted
number numbers offer offered offers opened opens order otherwise paid part parts pay pays people
pick picked place places plan planned plus possible prefer present problem promise promised provide
provided provides pull pulled put question questions ran reach reached read reads ready reason
reasons receive received remain remains remember remove removed repeat replace replaced replaces
require required requires rest result results return returned returns rule run running runs sat
saves second seconds seemed sees send sends sent serve set sets show showed shown shows sign single
sit sits sold speak specific spend spent stand stands start started starts stay stayed stays step
stop stopped stops store stored sum support talk talks tell tells think thought time times told
took turn turned turns understand update updated wait waits walk wanted wants watch week weeks word
words work worked working works worth write writes written wrong wrote year years day days hour
hours month months today tomorrow yesterday monday tuesday wednesday thursday friday saturday
sunday january february march april june july august september october november december jan feb
mar apr jun jul aug sep sept oct nov dec morning afternoon evening night important available likely
high higher highest own usual necessary nice fine short longer large larger relevant general
various further separate certain common whole entire
"""


def words(text: str) -> frozenset[str]:
    """The words of a list that is written as prose."""
    return frozenset(text.split())


class Language(Analyzer):
    """Stop words and stems of one language, for words with their inner hyphens and points."""

    @cached_property
    def stop_words(self) -> frozenset[str]:
        """Our own for English, those of bm25s for others; empty where no list exists."""
        if self.name == "english":
            return words(_ENGLISH)
        from bm25s import stopwords

        return frozenset(getattr(stopwords, f"STOPWORDS_{self.name.upper()}", ()))

    @cached_property
    def weak_words(self) -> frozenset[str]:
        """Words that may be inside a phrase but neither begin nor end one; English only."""
        return words(_WEAK_ENGLISH) if self.name == "english" else frozenset()

    def stem(self, word: str) -> str:
        """The stem of one word, in lower case."""
        return self.stemmed([lower(word, self.is_turkish)])[0]

    def stems(self, text: str, content_only: bool = False) -> list[str]:
        """Stems of all words of a text, in order; without stop words where `content_only`."""
        words = cut([lower(word, self.is_turkish) for word in WORD.findall(text)])
        if content_only:
            words = [word for word in words if word not in self.stop_words]
        return self.stemmed(words)
