"""Small lists of stop words, by language (Snowball's names)."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a list that is written as prose, for lists too long for quotes."""
    return frozenset(text.split())


_ENGLISH = """
a about above across after again against all almost alone along already also although always am
among an and another any anybody anyone anything anyway anywhere are around as ask at away be
became because become been before behind being below beside besides between beyond both but by
came can cannot can't cause come comes could couldn't did didn't do does doesn't doing don't done
down due during each either else enough especially etc even ever every everybody everyone
everything everywhere exactly except few first for from further gave get gets getting give given
gives go goes going gone got had has have haven't having he he's hence her here here's hers
herself him himself his how however i i'd i'll i'm i've if in indeed instead into is isn't it it's
its itself just keep kept know known last later least less let let's like likely made mainly make
makes making many may maybe me mean means might mine more most mostly much must my myself near
nearly need needed needs neither never next no nobody none nor not nothing now nowhere of off
often on once one ones only onto or other others otherwise our ours ourselves out over own per
perhaps please put quite rather really said same saw say says see seem seems seen several shall
she should shouldn't since so some somebody somehow someone something sometimes somewhere still
such sure take taken takes than thank thanks that that's the their theirs them themselves then
there there's therefore these they they're thing things think this those though through thus till
to today together too took toward towards tried tries try two under unless until up upon us use
used uses using usually very via want wanted wants was wasn't way we we're we've well went were
weren't what what's whatever when whenever where wherever whether which while who who's whoever
whole whom whose why will with within without won't would wouldn't yes yet you you'll you're
you've your yours yourself three four five six seven eight nine ten e.g i.e vs ok okay
unfortunately currently previously recently simply able lot lots kind sort bit nobody's old new
good bad big small right left long short full little early late soon ago true real half twice
second third fourth main
"""

_WEAK_ENGLISH = """
add added adds agree agreed allow allowed allows answer answers apply applies arrive arrives asked
asks became begin begins believe better best bring broke brought buy call called calls care
carried cause caused change changed changes check checked checks choose chose clear close closed
closes compare complete completed contain contains continue copy correct cost costs count counted
counts cover covered covers create created creates cut deal decide decided depends describe
described differs different does easy ended ends enter exist exists expect expected explain
explains fail failed fails feel fell felt fill fills find finds fits fix fixed follow followed
following follows found gets great grew grow hand handed happen happened happens hard held help
helped helps hold holds hope include included includes including increase join joined knew lead
learn learned leave leaves led lets list lives look looked looking looks lose loses lost low lower
matter matters meet meets met miss missed mention mentioned minute minutes move moved moves named
names needs noted number numbers offer offered offers opened opens order otherwise paid part parts
pay pays people pick picked place places plan planned plus possible prefer present problem promise
promised provide provided provides pull pulled put question questions ran reach reached read reads
ready reason reasons receive received remain remains remember remove removed repeat replace
replaced replaces require required requires rest result results return returned returns rule run
running runs sat saves second seconds seemed sees send sends sent serve set sets show showed shown
shows sign single sit sits sold speak specific spend spent stand stands start started starts stay
stayed stays step stop stopped stops store stored sum support talk talks tell tells think thought
time times told took turn turned turns understand update updated wait waits walk wanted wants
watch week weeks word words work worked working works worth write writes written wrong wrote year
years day days hour hours month months today tomorrow yesterday monday tuesday wednesday thursday
friday saturday sunday january february march april june july august september october november
december jan feb mar apr jun jul aug sep sept oct nov dec morning afternoon evening night
important available likely high higher highest own usual necessary nice fine short longer large
larger relevant general various further separate certain common whole entire
"""

_GERMAN = """
aber alle allem allen aller alles als also am an ander andere anderem anderen anderer auch auf aus
bei bin bis bist da damit dann das dass dein deine dem den denn der des dich die dies diese diesem
diesen dieser dieses doch dort du durch ein eine einem einen einer eines er es etwas euch euer für
gegen gewesen hab habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem
ihren ihrer im in indem ins ist jede jedem jeden jeder jedes jetzt kann kein keine keinem keinen
keiner können könnte machen man manche mehr mein meine mich mir mit muss musste nach nicht nichts
noch nun nur ob oder ohne sehr sein seine seinem seinen seiner selbst sich sie sind so solche soll
sollte sondern sonst über um und uns unser unsere unter viel vom von vor während war waren warum
was weil weiter welche welchem welchen welcher wenn wer werde werden wie wieder will wir wird wo
wurde wurden zu zum zur zwar zwischen bitte immer schon dabei dazu davon daran darauf
"""

_FRENCH = """
a afin ai aie ainsi alors après as au aucun aucune aussi autre autres aux avait avant avec avez
avoir avons c car ce ceci cela celle celles celui ces cet cette ceux chaque chez comme comment d
dans de depuis des deux doit donc dont du elle elles en encore entre est et été être eu fait faire
il ils j je jusqu l la le les leur leurs lors lui m ma mais me même mes moi moins mon n ne ni nos
notre nous on ont ou où par parce pas pendant peu peut plus pour pourquoi qu quand que quel quelle
quelles quels qui quoi s sa sans se sera ses si sinon soit son sont sous sur t ta te tes toi ton
tous tout toute toutes très tu un une vers vos votre vous y
"""

_SPANISH = """
a al algo algunos ante antes aquí así aunque bien cada como con contra cual cuando de del desde
donde dos e el él ella ellas ellos en entre era eran es esa ese eso esta está están este esto
estos fue fueron ha había han hasta hay la las le les lo los más me mi mientras muy nada ni no nos
nosotros nuestra nuestro o otra otras otro otros para pero poco por porque pues puede pueden que
qué quien se sea ser si sí sin sobre son su sus también tan tanto te tiene tienen todo todos tras
tu un una uno unos usted ustedes y ya yo
"""

_DUTCH = """
aan al alle alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus
een eens en er ge geen geweest haar had heb hebben heeft hem het hier hij hoe hun iemand iets ik
in is ja je kan kon kunnen maar me meer men met mij mijn moet na naar niet niets nog nu of om
omdat onder ons ook op over reeds te tegen toch toen tot u uit uw van veel voor want waren was wat
we wel werd wezen wie wij wil worden wordt zal ze zei zelf zich zij zijn zo zonder zou
"""

_SWEDISH = """
alla allt att av blev bli blir de dem den denna deras dess det detta dig din dina ditt du där då
efter ej eller en er era ett från för ha hade han har henne hennes hon honom hos hur här i icke
ingen inom inte jag ju kan kunde man med mellan men mig min mina mitt mot mycket ni nu när någon
något några och om oss på samma sedan sig sin sina sitt skulle som så till under upp ut utan vad
var vara varför varit varje vart vi vid vilka vilken vilket vår våra vårt än är åt över
"""

_PORTUGUESE = """
a ao aos aquela aquele as até com como da das de dela dele deles depois do dos e ela elas ele eles
em entre era eram essa esse esta está estão este eu foi foram há isso isto já lhe lhes mais mas me
mesmo meu minha muito na não nas nem no nos nós num numa o os ou para pela pelas pelo pelos por
porque quais qual quando que quem se sem ser será seu seus só são sua suas também tem têm tinha um
uma umas uns você vocês
"""

_ITALIAN = """
a ad agli ai al alla alle allo anche avere c che chi ci come con contro cui da dai dal dalla dalle
dallo degli dei del della delle dello di dove e ed era erano essere fra gli ha hanno ho i il in io
l la le lei li lo loro lui ma mi mia mio molto ne nei nel nella nelle nello noi non nostra nostro
o per perché più poi quale quando quanto quella quelle quelli quello questa queste questi questo
se sei si sia sono su sua sue sugli sui sul sulla suo suoi ti tra tu tutti tutto un una uno vi voi
"""

STOP_WORDS: dict[str, frozenset[str]] = {
    language: words(listed)
    for language, listed in {
        "english": _ENGLISH,
        "german": _GERMAN,
        "french": _FRENCH,
        "spanish": _SPANISH,
        "dutch": _DUTCH,
        "swedish": _SWEDISH,
        "portuguese": _PORTUGUESE,
        "italian": _ITALIAN,
    }.items()
}
"""Words that never belong to a phrase; another language has none and leans on frequencies."""

WEAK_WORDS: dict[str, frozenset[str]] = {"english": words(_WEAK_ENGLISH)}
"""Words that may stand inside a phrase but make none and end none."""
