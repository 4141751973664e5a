"""The words by which columns.py recognises the headings of columns."""

from __future__ import annotations

# The headings of each field: lower-case words without accents, with no spaces in them.
HEADINGS = {
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

# A heading that contains one of these is that of an opt-out column, whatever else it contains.
OPT_OUT_PARTS = """cannotcall cantcall mustnotcall shouldnotcall maynotcall notcallable uncallable
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
OPT_OUT_HEADINGS = """unsub abgemeldet desinscrit desinscrite desabonne desabonnee dadodebaja
    disiscritto disiscritta descadastrado uitgeschreven afgemeld wypisany отписан отписался 配信停止
    nocontact dnd tps ctps"""
SINCE = "date time at on am since seit le el fecha data datum flag status is ist registered"
# Words in headings of columns that tell more about an opt-out or a permission than a yes or no.
REASONS = "reason reasons grund motif raison motivo razon reden"
DETAILS = f"{REASONS} source campaign ip user method comment note notes title id url quelle von other"

# The same for a column that says who may be called, where "no" is an opt-out.
MAY_CALL_PARTS = """oktocall okaytocall oktophone maycall mayphone maywecall maybecalled maybephoned
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
NEGATORS = """no not none never kein keine keinen keiner nicht ne pas non nao sem sin senza niet geen
    nie bez inte ej ikke denied refused revoked withdrawn declined forbidden blocked expired widerrufen
    entzogen verweigert abgelehnt gesperrt verboten unerwunscht refuse retire revoque interdit denegado
    revocado rechazado prohibido negato revocato vietato negado revogado recusado proibido geweigerd
    ingetrokken verboden odwolana wycofana"""
YES_IN_HEADINGS = "yes y ja j oui o si s sim tak evet"
CALL_WORDS = "call calls calling phone telephone tel telefon anruf anrufe telefono telefone dial"
# A column that is left out is worth a question if its heading contains one of these.
HINTS_AT_CALLS = """call phone contact consent permission optin optout optedout unsub block blacklist
    suppress exclu stop disturb solicit marketing gdpr dsgvo rgpd anruf telefon kontakt einwillig
    zustimm sperr widerspr widerruf werb abmeld appel opposi refus desinscri desabonn listerouge llam
    consen baja rechaz chiam opposiz disiscri ligac ligar descadast bellen gebeld toestemm bezwaar dzwon
    zgod sprzeciw arama izni rizasi samtyc samtyk reserv звон согласи 电话 致电 電話 連絡 架電 전화 연락
    동의 demarchage accordtel benader puhelu sunati volani souhlas 致電"""
# But not if it contains one of these words: "Last call", "Number of calls".
NOT_A_QUESTION = """last next first previous letzter letzte naechster dernier prochain ultimo ultima
    number count times total anzahl nombre numero aantal liczba"""
STATUS_WORDS = """status statut statuut estado stato situacao situacion durum tila stav allapot статус
    状态 ステータス 상태"""
# Of whom or what such a column may tell the state, without spaces: "Contact status", "Estado del cliente".
WHOSE_STATUS = """contact contacts customer client clients patient member lead leads call calls calling phone
    subscriber person record prospect kontakt kontakts kunde kunden mitglied mitglieds anruf telefon patienten
    interessenten adress adressen duclient delcliente docliente delclient cliente clienti contacto contatto
    ducontact delcontacto klant klienta klantcontact musteri asiakkaan kund"""
OTHER_WAYS = "sms text texts email mail mails newsletter whatsapp post letter brief fax"

# Words beside a phone number, an address and the like, which say which of several it is.
QUALIFIERS = """home work business primary main other personal private office day daytime evening alternative
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
# Headings of columns that hold phone numbers in some exports, and addresses or names in others.
PHONE_PLACES = """home work business office main other iphone casa lavoro ufficio abitazione trabajo oficina
    trabalho bureau domicile maison travail privat zuhause arbeit geschaftlich dienstlich thuis werk kantoor
    dom praca ev is hjem arbejde hem arbete"""
NUMBER_KINDS = "phone tel mobil cell fax faks telecopie pager handy gsm cep movil celular 電話 电话 телефон"
TYPE_WORDS = "type label kind typ art tipo soort rodzaj tur"
NUMBER_WORDS = "number no nr num n numero nummer numer numara numarasi"
CONNECTORS = "of the de del della di do da du des der die das van la le l el il und and et y e i ve en op"
