"""Columns: which field of a contact a column of a table holds, by its heading.

Headings are those of the exports of Google Contacts and Outlook, and what people write in English, German,
French, Spanish, Italian, Portuguese, Dutch, Polish, Turkish and Japanese; the usual ones in some more
languages too. A heading is only recognised if each of its words is understood: "Phone (home)" is a phone
number, but "Emergency contact phone", "Phone type" and "Fax" are not the number of this person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

# What a column can hold. The first four are parts of the name; a company is the name if there is no other.
NAME_PARTS = ("first_name", "middle_name", "last_name")
FIELDS = (
    "name",
    *NAME_PARTS,
    "company",
    "phone",
    "country_code",
    "area_code",
    "extension",
    "email",
    "address",
    "notes",
    "tags",
    "reference",
    "timezone",
    "do_not_call",
    "may_call",
)

# The headings of each field: lower-case words without accents, with no spaces in them.
_HEADINGS = {
    "name": """name fullname contact contactname customer customername client clientname patient patientname
        person
        member membername displayname kunde kundenname mitglied ansprechpartner ansprechperson nameundvorname
        namevorname vorundnachname vornamenachname vornameundnachname nom nomcomplet nometprenom prenometnom
        nomprenom nombre nombrecompleto nombreyapellidos nome nomecompleto nomecognome cognomenome
        nomeecognome nomeesobrenome nominativo naam volledigenaam klant klantnaam contactpersoon nazwa
        imieinazwisko nazwiskoiimie imienazwisko pacjent klient ad adi adsoyad adisoyadi adivesoyadi advesoyad
        isim isimsoyisim namn hasta hastaadi hastaadisoyadi musteri musteriadi musteriadisoyadi danisan
        paziente cliente utente utenteassistito nomecliente nomepaziente nomedocliente nomedopaciente paciente
        nombrecliente nombredelcliente nombrepaciente nombredelpaciente naamclient naampatient clientnaam
        patientnaam nomclient nomduclient nompatient nomdupatient clientele navn jmeno nev nimi
        氏名 名前 お名前 姓名 フルネーム 顧客名 患者名 会員名 お客様名 利用者名 表示名
        guest guestname attendee attendeename participant participantname student studentname resident
        residentname yourname patientsname clientsname customersname nume nama имя фио імя піб ονομα
        ονοματεπωνυμο 이름 성명 שם الاسم""",
    "first_name": """firstname first givenname forename vorname rufname prenom primernombre nombredepila
        primeironome nomeproprio voornaam roepnaam imie onisim fornamn fornavn keresztnev krestni etunimi
        fname given prenume 名""",
    "middle_name": """middlename additionalname weiterevornamen zweitervorname secondname deuxiemeprenom
        segundonombre tussenvoegsel tussenvoegsels voorvoegsel mellannamn mellemnavn drugieimie ikinciisim
        middelstenaam secondonome отчество побатькові""",
    "last_name": """lastname last surname familyname nachname familienname zuname nomdefamille apellido
        apellidos primerapellido cognome sobrenome apelido apelidos achternaam familienaam nazwisko soyad
        soyadi
        soyisim efternamn efternavn etternavn prijmeni vezeteknev sukunimi segundoapellido
        lname numedefamilie фамилия прізвище επωνυμο 姓""",
    "company": """company companyname organization organisation organizationname organisationname firma
        firmenname unternehmen societe entreprise empresa compania azienda societa ditta bedrijf
        bedrijfsnaam sirket kurum foretag ragionesociale denominazione denominazionesociale
        businessname accountname accountcompany
        razonsocial raisonsociale razaosocial nazwafirmy firmaadi sirketadi firmanaam virksomhed
        会社 会社名 法人名 勤務先""",
    "phone": """phone phonenumber phoneno phones telephone telephonenumber tel telno mobile mobilephone
        mobilenumber cell cellphone cellnumber homephone workphone contactnumber callback callbacknumber
        telefon telefonnummer telefonnr telnr telnummer rufnummer rueckrufnummer ruckrufnummer handy
        handynummer handynr mobil mobiltelefon mobilnummer mobilnr mobilfunk mobilfunknummer mobilrufnummer
        festnetz festnetznummer festnetztelefon haupttelefon fon fernsprecher diensttelefon privattelefon
        telefone telephones numerodetelephone portable telportable mobiles fixe telfixe
        telefono telefonos movil celular telefonomovil telefonocelular cellulare telefonocellulare
        telefonofisso telefonnummern telemovel telefonecelular telefones
        telefoon telefoonnummer telefoonnr mobiel mobielnummer gsm gsmnummer
        telefonu numertelefonu telefonkomorkowy komorka komorkowy telkom telefonstacjonarny
        ceptelefonu cep cepno ceptel telefonno telefonnumarasi telefonlar mobilnumer tfno tlf tlfn tlfnr tfn
        numerocell numerocellulare recapito recapiti recapitotelefonico recapititelefonici contattotelefonico
        contactotelefonico contatotelefonico contacttelephonique numerodecontacto numerodecontato irtibatno
        irtibatnumarasi iletisimno puhelin puhelinnumero telefonszam telefonnicislo cislotelefonu
        contactno contactnr contactnumbers ph phno phnumber whatsapp whatsappnumber kontaktnummer hemtelefon
        arbetstelefon mobiltelefonnummer matkapuhelin tyopuhelin kotipuhelin mobilnitelefon mobiltelefonszam
        nohp nomorhp notelp telepon notelepon nomortelepon
        телефон мобильный мобильныйтелефон мобтелефон номертелефона телефонномер рабочийтелефон
        домашнийтелефон контактныйтелефон мобільний мобільнийтелефон номертелефону τηλεφωνο κινητο
        電話 電話番号 携帯 携帯電話 携帯番号 携帯電話番号 自宅電話 会社電話 固定電話 連絡先 連絡先電話番号
        手机 手机号 手机号码 电话 电话号码 联系电话 전화 전화번호 휴대폰 휴대전화 휴대폰번호 연락처
        טלפון נייד هاتف رقمالهاتف جوال رقمالجوال""",
    # Parts of the number that other programs keep in columns of their own.
    "country_code": """countrycode phonecountrycode countrycallingcode callingcode diallingcode
        dialingcode dialcode countryprefix internationalprefix landesvorwahl landervorwahl
        laendervorwahl landerkennzahl indicatifpays indicatifinternational prefijointernacional
        prefijopais codigopais codigodepais prefissointernazionale codigodopais codigointernacional
        landnummer kodkraju numerkierunkowykraju ulkekodu landskod landkode""",
    "area_code": """areacode vorwahl ortsvorwahl vorwahlnummer indicatif indicatifregional prefijo
        codigodearea prefisso ddd codigoarea netnummer kengetal kierunkowy numerkierunkowy alankodu
        riktnummer""",
    "extension": """extension ext phoneextension phoneext extensionnumber durchwahl nebenstelle poste
        posteinterne interno numerointerno anexo ramal toestel wewnetrzny numerwewnetrzny dahili
        dahilino anknytning""",
    "email": """email emailaddress mail mailaddress emailadresse mailadresse courriel adressemail adresseemail
        adresseelectronique adressedemessagerie mel correo correoelectronico direcciondecorreo
        direcciondecorreoelectronico postaelettronica indirizzoemail indirizzomail indirizzopostaelettronica
        indirizzodipostaelettronica correioeletronico correioelectronico enderecodeemail
        enderecodecorreioeletronico emailadres mailadres adresemail pocztaelektroniczna
        adrespocztyelektronicznej
        eposta epostaadresi elektronikposta epost epostadress
        emailcim элпочта электроннаяпочта почта електроннапошта 邮箱 电子邮件 이메일
        メール メールアドレス eメール 電子メール 電子メールアドレス""",
    "address": """address street streetaddress address1 address2 addressline1 addressline2 city town zip
        zipcode postcode postalcode state county province adresse anschrift strasse str hausnummer hausnr plz
        postleitzahl ort stadt wohnort plzort strassehausnummer strassenr ortsteil adresszusatz
        rue voie ville codepostal cp commune direccion calle ciudad poblacion codigopostal localidad provincia
        domicilio indirizzo via citta cap comune endereco morada rua cidade localidade
        adres straat straatnaam huisnummer plaats woonplaats postcodeplaats
        ulica miasto miejscowosc kodpocztowy adreszamieszkania
        adresi acikadres sokak cadde sehir il ilce postakodu adress gata postnummer postadress
        адрес адреса город cim 地址 주소
        住所 郵便番号 都道府県 市区町村 番地""",
    "notes": """notes note comment comments remark remarks notiz notizen bemerkung bemerkungen anmerkung
        anmerkungen kommentar kommentare hinweis hinweise remarque remarques commentaire commentaires
        observation observations nota notas observacion observaciones comentario comentarios annotazioni
        annotazione osservazioni commento commenti observacao observacoes opmerking opmerkingen notitie
        notities uwagi uwaga notatki notatka komentarz notlar not aciklama yorum anteckningar
        примечание примечания комментарий комментарии заметки примітки megjegyzes poznamka
        備考 備考欄 メモ 备注 비고 메모""",
    "tags": """tags tag label labels group groups category categories groupmembership schlagwort schlagworte
        schlagworter stichwort gruppe gruppen kategorie kategorien etiquette etiquettes groupe groupes
        categorie etiqueta etiquetas grupo grupos categoria categorias etichetta etichette gruppo gruppi
        categorieen groep groepen etykieta etykiety grupa grupy etiket etiketler grup gruplar kategori
        kategoriler タグ グループ 分類項目""",
    "reference": """reference ref id recordid contactid personid yourreference externalid customerid
        customernumber clientid clientnumber
        patientid patientnumber memberid membernumber referenz kundennummer kundennr kdnr kundenid
        patientennummer patientennr patientenid mitgliedsnummer mitgliedsnr aktenzeichen numeroclient
        numeroadherent numerodeclient refclient numerodecliente codigocliente codigodecliente referencia
        idcliente codicecliente numerocliente riferimento referentie klantnummer klantnr patientnummer
        lidnummer numerklienta numerpacjenta musterino hastano referans kundnummer
        顧客番号 患者番号 会員番号 管理番号 顧客id""",
    "timezone": """timezone tz zone zeitzone fuseauhoraire zonahoraria fusoorario fusohorario tijdzone
        strefaczasowa saatdilimi tidszon""",
    "do_not_call": "donotcall dnc dontcall donotcontact nocalls optout optedout",
}

# A column whose heading contains one of these is an opt-out column, whatever else the heading contains.
_OPT_OUT_PARTS = """cannotcall cantcall mustnotcall shouldnotcall maynotcall notcallable uncallable
    darfnichtangerufen donotcall dontcall donotcontact dontcontact donotphone optout optedout
    unsubscribe donottelephone dontphone donttelephone donotallow disallow donotsolicit donotdisturb
    notcontactable uncontactable nottobecalled nottobecontacted nottobephoned nevercall nevercontact
    callblock callsblock blockcalls refusescalls refusecalls notelemarketing dnc nocall nichtanrufen
    nichtmehranrufen nichtkontaktieren nichtmehrkontaktieren keineanrufe keinanruf keinenanruf
    anrufverbot anrufsperre anrufunerwunscht anrufenunerwunscht telefonunerwunscht telefonsperre
    kontaktsperre kontaktverbot werbesperre werbewiderspruch sperrvermerk nepasappeler nepluscontacter
    nepascontacter neplusappeler nepasderanger bloctel oppositiontelephon oppositionappel refusdappel
    refusappel appelinterdit appelsinterdits nollamar nocontactar nodesealla noquierella nonchiamare
    noncontattare nondisturbare opposizioni naoligar naocontatar naoperturb naodesejaliga nietbellen
    nietcontacteren nietstoren belmeniet niedzwonic niekontaktowac nieprzeszkadzac aramayin aranmasin
    aramayiniz donotring nophonecalls nepastelephoner nollame nontelefonare naocontactar naotelefonar
    geentelefoon nietopbellen nieprosicotelefon ringinte ringej ringikke ikkering ringesikke
    kontaktainte kontaktikke alasoita nevolat nehivj robinson незвонить небеспокоить неперезванивать
    недзвонити keinetelefonate keinentelefonat keintelefonkontakt ansprecheverboten callsrefused
    excludedfromcall excludefromcall callrestriction stopappel pasdappel opposeaudemarchage
    oppositiondemarchage excluirdellamadas nietbenaderen sprzeciwtelefon aramayapilmasin eipuhelu nusunati
    請勿致電
    电话不可 请勿致电 请勿拨打 勿拨打 不要打电话 拒绝来电 電話不可 電話ng 電話しない 電話禁止 電話拒否
    架電禁止 架電不可 架電ng 連絡不可 連絡禁止 連絡しない 전화금지 전화거부 전화하지 연락금지 수신거부
    لاتتصل عدمالاتصال אלתתקשר לאלהתקשר μηνκαλειτε อย่าโทร ห้ามโทร"""
# A heading that is one of these means the same; words such as "since" and "date" in it don't count.
_OPT_OUT_HEADINGS = """unsub abgemeldet desinscrit desinscrite desabonne desabonnee dadodebaja
    disiscritto disiscritta descadastrado uitgeschreven afgemeld wypisany отписан отписался 配信停止
    nocontact dnd tps ctps"""
_SINCE = "date time at on am since seit le el fecha data datum flag status is ist registered"
# Words in headings of columns that tell more about an opt-out or a permission than a yes or no.
_REASONS = "reason reasons grund motif raison motivo razon reden"
_DETAILS = f"{_REASONS} source campaign ip user method comment note notes title id url quelle von other"

# The same for a column that says who may be called, where "no" is an opt-out.
_MAY_CALL_PARTS = """oktocall okaytocall oktophone maycall mayphone maywecall maybecalled maybephoned
    cancall canwecall canbecalled canbephoned canbecontacted callok phoneallowed allowcall allowscall
    allowphone acceptscall acceptcall acceptsphone wantscalls wantstobecalled wishestobecalled
    callallowed callsallowed callconsent callpermission consenttocall consentforcalls permissiontocall
    phoneconsent phonepermission consenttophone consenttocontact contactconsent contactpermission
    permissiontocontact oktocontact maycontact maywecontact canwecontact contactallowed callable
    contactable anruferlaubt anrufeerlaubt anrufenerlaubt anrufgestattet anrufok anrufenok
    anruferwunscht telefonerlaubt darfangerufenwerden darfkontaktiertwerden telefonischeeinwilligung
    einwilligungtelefon einwilligunganruf einwilligungzuanrufen kontakterlaubt consentementappel
    consentementtelephone accordappel accepteappel accepteappels appelautorise appelsautorises
    peutetreappele okappel puedellamar sepuedellamar aceptallamadas permitellamadas
    consentimientollamada consentimientotelefon puochiamare sipuochiamare consensochiamat
    consensotelefon accettachiamate podeligar aceitachamadas consentimentochamada consentimentotelefon
    magbellen bellentoegestaan toestemmingbellen toestemmingtelefo magwordengebeld maggebeldworden
    zgodanakontakt zgodanatelefon contactbyphone contactbytelephone kontaktpertelefon kontakttelefonisch
    acceptelesappels accordtelephone contactpartelephone contactoportelefono moznadzwonic aranabilir
    aramaizni farringa okaytophone consentphone telefonerlaubnis kontaktaufnahmeerlaubt darfanrufen
    accordtelephonique puoesserechiamat samtycketelefon maringes souhlassvolanim согласиеназвон
    phonepermitted telephonepermitted callpermitted callspermitted 電話可 電話ok 連絡可"""
# These turn a permission into its contrary: "Phone consent revoked".
_NEGATORS = """no not none never kein keine keinen keiner nicht ne pas non nao sem sin senza niet geen
    nie bez inte ej ikke denied refused revoked withdrawn declined forbidden blocked expired widerrufen
    entzogen verweigert abgelehnt gesperrt verboten unerwunscht refuse retire revoque interdit denegado
    revocado rechazado prohibido negato revocato vietato negado revogado recusado proibido geweigerd
    ingetrokken verboden odwolana wycofana"""
_YES_IN_HEADINGS = "yes y ja j oui o si s sim tak evet"
_CALL_WORDS = "call calls calling phone telephone tel telefon anruf anrufe telefono telefone dial"
# A column that is left out is worth a question if its heading contains one of these.
_HINTS_AT_CALLS = """call phone contact consent permission optin optout optedout unsub block blacklist
    suppress exclu stop disturb solicit marketing gdpr dsgvo rgpd anruf telefon kontakt einwillig
    zustimm sperr widerspr widerruf werb abmeld appel opposi refus desinscri desabonn listerouge llam
    consen baja rechaz chiam opposiz disiscri ligac ligar descadast bellen gebeld toestemm bezwaar dzwon
    zgod sprzeciw arama izni rizasi samtyc samtyk reserv звон согласи 电话 致电 電話 連絡 架電 전화 연락
    동의 demarchage accordtel benader puhelu sunati volani souhlas 致電"""
# But not if it contains one of these words: "Last call", "Number of calls".
_NOT_A_QUESTION = """last next first previous letzter letzte naechster dernier prochain ultimo ultima
    number count times total anzahl nombre numero aantal liczba"""
_STATUS_WORDS = """status statut statuut estado stato situacao situacion durum tila stav allapot статус
    状态 ステータス 상태"""
# Of whom or what such a column may tell the state, without spaces: "Contact status", "Estado del cliente".
_WHOSE_STATUS = """contact contacts customer client clients patient member lead leads call calls calling phone
    subscriber person record prospect kontakt kontakts kunde kunden mitglied mitglieds anruf telefon patienten
    interessenten adress adressen duclient delcliente docliente delclient cliente clienti contacto contatto
    ducontact delcontacto klant klienta klantcontact musteri asiakkaan kund"""
_OTHER_WAYS = "sms text texts email mail mails newsletter whatsapp post letter brief fax"

# Words beside a phone number, an address and the like, which say which of several it is.
_QUALIFIERS = """home work business primary main other personal private office day daytime evening alternative
    alternate secondary second third contact customer client patient member number no nr num n value formatted
    privat private privater geschaftlich geschaeftlich dienstlich beruflich haupt weitere weiteres andere
    anderes sonstige zweite tagsuber abends nummer arbeit buro zuhause festnetz mobil firma zentrale
    domicile bureau travail principal principale professionnel professionnelle personnel autre autres fixe
    portable mobile numero
    casa trabajo oficina particular otro otra fijo movil celular
    ufficio lavoro abitazione fisso altro altra cellulare
    trabalho residencial comercial residencia outro outra fixo
    thuis werk prive zakelijk vast overig overige kantoor mobiel
    domowy sluzbowy sluzbowa praca prywatny prywatna stacjonarny glowny inny inna kontaktowy komorkowy numer
    dom
    mobiele primaire arbete bostad hem jobb arbejde hjem hjemme zamestnani domu mobilni kom dienstl gesch
    priv h w m c o billing shipping mailing delivery default best preferred guest student attendee
    participant resident person invitee ev is diger sabit numarasi numara kontakt whatsapp"""
_QUALIFIED_FIELDS = ("phone", "email", "address", "name", "notes", "timezone", *NAME_PARTS)
# Headings of columns that hold phone numbers in some exports, and addresses or names in others.
_PHONE_PLACES = """home work business office main other iphone casa lavoro ufficio abitazione trabajo oficina
    trabalho bureau domicile maison travail privat zuhause arbeit geschaftlich dienstlich thuis werk kantoor
    dom praca ev is hjem arbejde hem arbete"""
_NUMBER_KINDS = "phone tel mobil cell fax faks telecopie pager handy gsm cep movil celular 電話 电话 телефон"
_TYPE_WORDS = "type label kind typ art tipo soort rodzaj tur"
_NUMBER_WORDS = "number no nr num n numero nummer numer numara numarasi"
_CONNECTORS = "of the de del della di do da du des der die das van la le l el il und and et y e i ve en op"
_SPECIAL_LETTERS = str.maketrans("łŁıøØđĐ", "lLioOdD", "'’`´")

_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)?")
_GOOGLE = re.compile(r"(Phone|E-?mail|Address|Organization) (\d+) - (.+)", re.IGNORECASE)
_GOOGLE_ADDRESS_PARTS = ("Street", "Extended Address", "City", "Region", "Postal Code", "Country", "PO Box")


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    heading: str
    field: str | None  # one of FIELDS; None: the column is left out
    group: str = ""  # of several addresses or names: which one this is a part of
    is_settled: bool = False  # the owner has left it out, and needs no question about it


def recognise(headings: Sequence[str]) -> list[Column]:
    """Return what each column holds, as far as its heading tells."""
    columns = [_google_column(heading, headings) or _column(heading) for heading in headings]
    return _without_postal_codes(_without_minor_opt_outs(columns))


def _without_minor_opt_outs(columns: list[Column]) -> list[Column]:
    """Return the columns; beside "Do not call", those such as "Email opt out" are left out."""
    opt_outs = [column for column in columns if column.field == "do_not_call"]
    minor = [column for column in opt_outs if _is_minor(_words(column.heading))]
    if len(minor) == len(opt_outs):
        return columns
    return [Column(column.heading, None) if column in minor else column for column in columns]


def _without_postal_codes(columns: list[Column]) -> list[Column]:
    """Return the columns; "Cep" beside another phone number is an address.

    It is a mobile phone in Turkish, and a postal code in Portuguese.
    """
    phones = [column for column in columns if column.field == "phone"]
    if len(phones) < 2:
        return columns
    return [
        Column(column.heading, "address")
        if column in phones and _words(column.heading) == ["cep"]
        else column
        for column in columns
    ]


def recognise_by_content(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[Column]:
    """Return the columns; one that is called "Home" or "Ufficio" holds phone numbers if it looks so.

    iCloud and Outlook in Italian call them so.
    """
    return [
        Column(column.heading, "phone")
        if _names_places(column) and _holds_numbers([row[n] for row in rows if n < len(row)])
        else column
        for n, column in enumerate(columns)
    ]


def _names_places(column: Column) -> bool:
    words = _without_ordinals(column.heading)
    return column.field is None and bool(words) and all(word in _PHONE_PLACES.split() for word in words)


def _holds_numbers(cells: Sequence[str]) -> bool:
    numbers = [cell.strip() for cell in cells if cell.strip()]
    return bool(numbers) and all(
        may_hold_number(cell) and re.fullmatch(r"[+(\d][\d\s()./-]+", cell) for cell in numbers
    )


def name_lines(columns: Sequence[Column]) -> list[int]:
    """Return the columns that hold one name together, such as "Name 1" and "Name 2"; if none, an empty list.

    German address books have them, for a company and its department, or for a surname and a first name. With
    a phone number between them, they are the names of several people.
    """
    lines = [
        n
        for n, column in enumerate(columns)
        if column.field == "name" and _without_ordinals(column.heading) == ["name"]
    ]
    by_number = {"".join(_words(columns[n].heading)[1:]) or "1": n for n in lines}
    wanted = [str(number) for number in range(1, len(lines) + 1)]
    if len(lines) < 2 or sorted(by_number) != wanted:
        return []
    if any(column.field == "phone" for column in columns[lines[0] : lines[-1]]):
        return []
    return [by_number[number] for number in wanted]


def _without_ordinals(heading: str) -> list[str]:
    return [word for word in _words(heading) if not _ORDINAL.fullmatch(word)]


def type_columns(headings: Sequence[str]) -> dict[int, int]:
    """Return for columns such as "Phone 1 - Value" which one tells what it is: "Phone 1 - Type"."""
    plain = [_words(heading) for heading in headings]
    types = {_without_type(words): n for n, words in reversed(list(enumerate(plain))) if _tells_type(words)}
    return {
        n: types[_without_type(words)]
        for n, words in enumerate(plain)
        if not _tells_type(words) and _without_type(words) in types
    }


def _tells_type(words: Sequence[str]) -> bool:
    return _has_word(words, _TYPE_WORDS) or "".join(words).endswith(("art", "typ", "type"))


def _without_type(words: Sequence[str]) -> str:
    """Return the words of a heading without those that say that it tells the type of another column."""
    core = "".join(word for word in words if word not in f"{_TYPE_WORDS} value".split())
    return re.sub(r"(?:art|typ|type)$", "", core)


def is_opt_out_heading(heading: str) -> bool:
    """Return True for the heading of a column that says who must not be called."""
    words = _words(heading)
    if _has_part(words, _OPT_OUT_PARTS):
        return True
    negators = _negators(words)
    if negators and _allows_calls([word for word in words if word not in negators]):
        return True  # "Phone consent revoked"
    return "".join(word for word in words if word not in _SINCE.split()) in _folded(_OPT_OUT_HEADINGS)


def is_may_call_heading(heading: str) -> bool:
    """Return True for the heading of a column that says who may be called."""
    words = _words(heading)
    return _allows_calls(words) and not _negators(words)


def _allows_calls(words: Sequence[str]) -> bool:
    joined = "".join(words)
    if _has_word(words, _OTHER_WAYS) or _holds_details(words):
        return False
    if joined.startswith(("optin", "optedin")) or _has_part(words, _MAY_CALL_PARTS):
        return True
    return "optin" in joined and _has_word(words, _CALL_WORDS)


def _negators(words: Sequence[str]) -> list[str]:
    """Return the words that turn a permission into its contrary; but "OK to call (yes/no)" has none."""
    if _has_word(words, _YES_IN_HEADINGS):
        return []
    return [word for word in words if word in _NEGATORS.split()]


def is_reason_heading(heading: str) -> bool:
    """Return True for the heading of a column with the reasons of opt-outs."""
    words = _words(heading)
    is_reason = _has_word(words, _REASONS)
    return is_reason and is_opt_out_heading(heading) and not _is_about_other_ways(words)


def hints_at_calls(heading: str) -> bool:
    """Return True for a heading of which it isn't clear whether its column says who may be called."""
    words = _words(heading)
    if is_opt_out_heading(heading):
        return not _holds_details(words)
    if _is_about_other_ways(words) or _has_word(words, _NOT_A_QUESTION):
        return False
    return _has_part(words, _HINTS_AT_CALLS)


def names_number(heading: str) -> bool:
    """Return True for the heading of a column with numbers of some kind: "Fax", "Emergency phone"."""
    return _has_part(_words(heading), _NUMBER_KINDS)


def is_status_heading(heading: str) -> bool:
    """Return True for a column with the state of a person: "Status", "Kundenstatus"; not "Order status"."""
    words = _without_ordinals(heading)
    rest = re.sub(f"{'|'.join(_folded(_STATUS_WORDS))}", "", "".join(words))
    has_status = rest != "".join(words)
    return has_status and (not rest or rest in _folded(_WHOSE_STATUS))


def _is_minor(words: Sequence[str]) -> bool:
    """Return True for "Do not call reason" and "Email opt out", which say nothing beside "Do not call"."""
    return _holds_details(words) or _is_about_other_ways(words)


def _is_about_other_ways(words: Sequence[str]) -> bool:
    """Return True for words about email and the like, and not about calls."""
    return _has_word(words, _OTHER_WAYS) and not _has_word(words, _CALL_WORDS)


def _holds_details(words: Sequence[str]) -> bool:
    """Return True for "Do not call reason" and "Opted out by", which tell more than a yes or no."""
    return words[-1:] == ["by"] or _has_word(words, _DETAILS)


def is_usable(fields: Sequence[str | None]) -> bool:
    """Return True if the columns hold what a contact needs: a name and a phone number."""
    has_name = any(field in fields for field in ("name", "first_name", "last_name", "company"))
    return has_name and "phone" in fields


def _google_column(heading: str, headings: Sequence[str]) -> Column | None:
    """Return a column such as "Phone 1 - Value" of Google Contacts, or None for any other."""
    match = _GOOGLE.fullmatch(heading.strip())
    if match is None:
        return None
    kind, number, part = match.groups()
    if kind.casefold() == "organization":
        return Column(heading, "company" if part == "Name" else None)
    if kind.casefold() != "address":
        field = "phone" if kind.casefold() == "phone" else "email"
        return Column(heading, field if part == "Value" else None)
    has_formatted = f"Address {number} - Formatted" in headings
    wanted = ("Formatted",) if has_formatted else _GOOGLE_ADDRESS_PARTS
    return Column(heading, "address" if part in wanted else None, group=number)


def _column(heading: str) -> Column:
    """Return what a column holds, as far as its own heading tells."""
    if is_opt_out_heading(heading):
        return Column(heading, "do_not_call")
    if is_may_call_heading(heading):
        return Column(heading, "may_call")
    words = _words(heading)
    core = [word for word in words if not (word in _QUALIFIERS.split() or _ORDINAL.fullmatch(word))]
    part = _fields_by_heading().get("".join(core))
    known = part if part in NAME_PARTS else _known_field(words)  # "Customer first name"
    field = known or _qualified_field(words, core)
    is_one_of_several = field in NAME_PARTS or (field == "address" and known is None)  # "Billing city"
    group = [word for word in words if word in _QUALIFIERS.split()] if is_one_of_several else []
    return Column(heading, field, " ".join(group))


def _qualified_field(words: Sequence[str], core: Sequence[str]) -> str | None:
    """Return the field of a heading that also says which of several it is, such as "Phone (home) 2".

    `core` holds the words that don't say that: "phone".
    """
    if not core:  # "Mobile/WhatsApp"
        return "phone" if any(_known_field([word]) == "phone" for word in words) else None
    field = _known_field(core) or _known_field([word for word in words if word not in _NUMBER_WORDS.split()])
    if field is None and "address" in core:
        # Shopify's "Default Address Phone" and "Default Address Address1".
        field = _known_field([word for word in core if word != "address"])
        return field if field in ("phone", "address") else None
    return field if field in _QUALIFIED_FIELDS else None


def _known_field(words: Sequence[str]) -> str | None:
    """Return the field of a heading of which every word is understood."""
    field = _fields_by_heading().get("".join(words))
    core = [word for word in words if word not in _CONNECTORS.split()]
    if field is None:
        field = _fields_by_heading().get("".join(core))
    if field is not None or not core:
        return field
    fields = {_fields_by_heading().get(word) for word in core}
    if len(fields) == 1:
        return fields.pop()  # "Tel./Mobil", "City, State, Zip"
    if fields <= {"name", *NAME_PARTS}:
        return "name"  # "Name, Vorname"
    return None


def _has_word(words: Sequence[str], listed: str) -> bool:
    """Return True if a heading has one of the listed words."""
    return any(word in listed.split() for word in words)


def _has_part(words: Sequence[str], listed: str) -> bool:
    """Return True if a heading, with its words joined, contains one of the listed texts."""
    joined = "".join(words)
    return any(part in joined for part in _folded(listed))


@cache
def _words(heading: str) -> list[str]:
    """Return the words of a heading in lower case, without accents: "1. Téléphone" is ["1", "telephone"]."""
    text = heading.translate(_SPECIAL_LETTERS)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)  # phoneNumber
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"(?<=[a-z])(?=\d)", " ", text)
    return re.findall(r"[^\W_]+", text)


@cache
def _fields_by_heading() -> dict[str, str]:
    return {heading: field for field, headings in _HEADINGS.items() for heading in _folded(headings)}


@cache
def _folded(headings: str) -> tuple[str, ...]:
    """Return the headings in a text, each in the form that the words of a heading have when joined."""
    return tuple("".join(_words(heading)) for heading in headings.split())


# ----- Headings that stand below a title

HEADING_ROWS = 20  # the headings are looked for in these


def count_known(headings: Sequence[str]) -> int:
    """Return how many different fields the headings name."""
    return len({column.field for column in recognise(headings)} - {None})


def looks_like_a_row(cells: Sequence[str]) -> bool:
    """Return True for cells that hold a contact rather than headings: a phone number or an email address."""
    return any(may_hold_number(cell) or re.search(r"\S@\S+\.\S", cell) for cell in cells)


def may_hold_number(cell: str) -> bool:
    """Return True for a cell with as many digits as the shortest phone numbers have."""
    return re.search(r"\d(?:[\s()./-]*\d){5}", cell) is not None
