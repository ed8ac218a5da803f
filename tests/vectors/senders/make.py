#!/usr/bin/env python3
"""Writes the cases of this family that carry signatures, with keys made anew.

Signatures come from dkimpy (Debian: python3-dkim, python3-nacl) where it can make them, so that they are
another program's than the one under test; those that no honest signer makes are built below. Cases
without signatures are here, too, so that the whole family can be read in one place.

Run it, then `cargo test -p wardpost-sender-auth --test vectors`: the test prints what it finds where that
is not what the case says. Results are kept when a case is written again, so a change of meaning shows; what
begins with new keys is `header.b` alone.
"""
import base64, hashlib, os, re, subprocess, sys, tempfile
import dkim
from nacl.signing import SigningKey

HERE = os.path.dirname(os.path.abspath(__file__))


class Rsa:
    def __init__(self, bits=2048):
        self.file = tempfile.NamedTemporaryFile(suffix=".pem", delete=False).name
        run("openssl", "genrsa", "-traditional", "-out", self.file, str(bits))
        self.pem = open(self.file, "rb").read()
        der = run("openssl", "rsa", "-in", self.file, "-pubout", "-outform", "DER")
        self.record = "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()
        self.algorithm = "rsa-sha256"

    def sign(self, data, digest="sha256"):
        return run("openssl", "dgst", "-" + digest, "-sign", self.file, stdin=data)


class Ed25519:
    def __init__(self):
        self.key = SigningKey.generate()
        self.pem = base64.b64encode(bytes(self.key))
        self.record = "v=DKIM1; k=ed25519; p=" + base64.b64encode(bytes(self.key.verify_key)).decode()
        self.algorithm = "ed25519-sha256"

    def sign(self, data, digest="sha256"):
        return self.key.sign(hashlib.sha256(data).digest()).signature


def run(*words, stdin=None):
    return subprocess.run(words, input=stdin, check=True, capture_output=True).stdout


def crlf(text):
    return text.replace("\n", "\r\n").encode()


def lf(octets):
    return octets.decode().replace("\r\n", "\n")


def signed(message, domain, key, selector="s", identity=None, headers=(b"from", b"to", b"subject", b"date")):
    """As an honest signer does, by dkimpy."""
    field = dkim.sign(crlf(message), selector.encode(), domain.encode(), key.pem,
                      identity=identity and identity.encode(), canonicalize=(b"relaxed", b"relaxed"),
                      signature_algorithm=key.algorithm.encode(), include_headers=list(headers))
    return lf(field) + message


def odd(message, domain, key, selector="s", algorithm=None, extra="", names="from:to:subject:date",
        digest="sha256", length=None):
    """A signature that no honest signer makes. relaxed/relaxed."""
    head, _, body = message.partition("\n\n")
    body = re.sub(r"[ \t]+", " ", body)
    body = re.sub(r" +\n", "\n", body).rstrip("\n") + "\n"
    octets = crlf(body)
    if length is not None:
        octets = octets[:length]
        extra += f" l={length};"
    bh = base64.b64encode(hashlib.new(digest, octets).digest()).decode()
    value = (f"v=1; a={algorithm or key.algorithm}; c=relaxed/relaxed; d={domain}; s={selector};{extra}"
             f" h={names}; bh={bh}; b=")
    fields = {}
    for line in re.sub(r"\n[ \t]+", " ", head).split("\n"):
        name, _, text = line.partition(":")
        fields.setdefault(name.strip().lower(), []).append(re.sub(r"\s+", " ", text).strip())
    data = ""
    for name in names.split(":"):
        if fields.get(name):
            data += f"{name}:{fields[name].pop()}\r\n"
    data += f"dkim-signature:{value}"
    b = base64.b64encode(key.sign(data.encode(), digest)).decode()
    return f"DKIM-Signature: {value}{b}\n{message}"


def sealed(message, domain, key, results, selector="arc"):
    """Handed on by `domain`, which found `results`; by dkimpy."""
    message = f"Authentication-Results: {domain}; {results}\n{message}"
    fields = dkim.arc_sign(crlf(message), selector.encode(), domain.encode(), key.pem, domain.encode(),
                           include_headers=[b"from", b"to", b"subject", b"date"])
    if not fields:
        sys.exit(f"{domain} would not seal")
    return "".join(lf(field) for field in fields) + message


PLAIN = """From: Lab <results@lab.test>
To: dana@clinic.test
Subject: Your results
Date: Thu, 26 Nov 2026 10:00:00 +0000

The results are ready.
"""
LAB = """lab.test TXT v=spf1 ip4:192.0.2.7 -all
mx.lab.test A 192.0.2.7
7.2.0.192.in-addr.arpa PTR mx.lab.test
"""
REJECT = LAB + "_dmarc.lab.test TXT v=DMARC1; p=reject\n"
STRANGER = "198.51.100.9"


def key(selector, domain, record):
    return f"{selector}._domainkey.{domain} TXT {record}\n"


def case(name, why, disposition, dns=LAB, message=PLAIN, peer="192.0.2.7", helo="mx.lab.test",
         mail_from="results@lab.test", trusted=()):
    path = os.path.join(HERE, name + ".toml")
    results = ""
    if os.path.exists(path):
        kept = re.search(r"^results = \[\n.*?^\]\n", open(path).read(), re.M | re.S)
        results = kept.group(0) if kept else ""
    with open(path, "w") as out:
        out.write(f'why = "{why}"\n\npeer = "{peer}"\nhelo = "{helo}"\nmail_from = "{mail_from}"\n')
        if trusted:
            out.write("trusted = [" + ", ".join(f'"{t}"' for t in trusted) + "]\n")
        out.write(f"dns = '''\n{dns}'''\nmessage = '''\n{message}'''\n\n{results}disposition = \"{disposition}\"\n")


def spf():
    def lab(record):
        return LAB.replace("v=spf1 ip4:192.0.2.7 -all", record)
    case("101-spf-pass-aligned", "The lab's own server, which SPF names, for the lab's own domain", "inbox", REJECT)
    case("102-spf-fail-reject", "A forged From of a domain that asks to refuse forgeries", "550", REJECT, peer=STRANGER)
    case("103-spf-fail-quarantine", "A forged From of a domain that asks for Junk", "junk",
         LAB + "_dmarc.lab.test TXT v=DMARC1; p=quarantine\n", peer=STRANGER)
    case("104-spf-fail-none", "The domain asks for nothing, but says -all, and nothing speaks for it", "junk",
         LAB + "_dmarc.lab.test TXT v=DMARC1; p=none\n", peer=STRANGER)
    case("105-spf-softfail", "~all alone is no accusation", "inbox", lab("v=spf1 ip4:192.0.2.7 ~all"), peer=STRANGER)
    case("106-nothing-published", "A small lab publishes nothing at all", "inbox", "lab.test A 192.0.2.7\n")
    case("107-bounce-by-helo", "A bounce has no sender: the HELO name is checked (RFC 7208 2.4)", "inbox",
         REJECT + "mx.lab.test TXT v=spf1 a -all\n", mail_from="")
    many = " ".join(f"a:h{n}.lab.test" for n in range(11))
    hosts = "".join(f"h{n}.lab.test A 203.0.113.{n}\n" for n in range(11))
    case("108-spf-too-many-look-ups", "More than ten look-ups are an error (RFC 7208 4.6.4)", "550",
         lab(f"v=spf1 {many} ip4:192.0.2.7 -all").replace("\n7.2", f"\n{hosts}7.2") + "_dmarc.lab.test TXT v=DMARC1; p=reject\n")
    case("109-spf-void-look-ups", "More than two look-ups that find nothing are an error (RFC 7208 4.6.4)", "550",
         lab("v=spf1 a:no1.lab.test a:no2.lab.test mx:no3.lab.test ip4:192.0.2.7 -all") + "_dmarc.lab.test TXT v=DMARC1; p=reject\n")
    case("110-spf-two-void-look-ups", "Two of them are not", "inbox",
         lab("v=spf1 a:no1.lab.test a:no2.lab.test ip4:192.0.2.7 -all") + "_dmarc.lab.test TXT v=DMARC1; p=reject\n")
    case("111-spf-two-records", "Two SPF records are an error, whichever would match (RFC 7208 4.5)", "550",
         REJECT + "lab.test TXT v=spf1 +all\n")
    case("112-spf-unreadable-first", "A record that cannot be read is an error, other TXT records or not (RFC 7208 4.6)",
         "550", lab("v=spf1 ip4:192.0.2.7.9 -all") + "lab.test TXT site-verification=1\n_dmarc.lab.test TXT v=DMARC1; p=reject\n")
    case("113-spf-include", "include passes where the included record does", "inbox",
         lab("v=spf1 include:_spf.lab.test -all") + "_spf.lab.test TXT v=spf1 ip4:192.0.2.0/24 ?all\n_dmarc.lab.test TXT v=DMARC1; p=reject\n")
    case("114-spf-redirect", "redirect takes the other record's word", "550",
         lab("v=spf1 redirect=_spf.lab.test") + "_spf.lab.test TXT v=spf1 ip4:203.0.113.1 -all\n_dmarc.lab.test TXT v=DMARC1; p=reject\n")
    case("115-spf-exists-macro", "exists with a macro of the client's address (RFC 7208 7)", "inbox",
         lab("v=spf1 exists:%{i}._spf.lab.test -all") + "192.0.2.7._spf.lab.test A 127.0.0.2\n_dmarc.lab.test TXT v=DMARC1; p=reject\n")
    case("116-spf-mx", "mx: the hosts that take the domain's mail", "inbox",
         lab("v=spf1 mx -all") + "lab.test MX mx.lab.test\n_dmarc.lab.test TXT v=DMARC1; p=reject\n")
    case("117-ipv6", "An IPv6 client, with its reverse name", "inbox",
         "lab.test TXT v=spf1 ip6:2001:db8::/32 -all\n_dmarc.lab.test TXT v=DMARC1; p=reject\nmx.lab.test AAAA 2001:db8::7\n"
         "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR mx.lab.test\n", peer="2001:db8::7")
    case("118-spf-temperror-of-another", "Somebody else's SPF does not answer: it could prove nothing for the lab", "550",
         "bounce.other.test SERVFAIL\n" + REJECT, mail_from="b@bounce.other.test", peer=STRANGER)
    case("119-spf-temperror-aligned", "The aligned proof is not to be had now: later", "451",
         "_spf.lab.test SERVFAIL\n" + lab("v=spf1 include:_spf.lab.test -all") + "_dmarc.lab.test TXT v=DMARC1; p=reject\n", peer=STRANGER)
    case("120-iprev-mismatch", "A reverse name that does not point back says little by itself", "inbox",
         REJECT.replace("mx.lab.test A 192.0.2.7", "mx.lab.test A 192.0.2.8"))


def dkim_cases():
    rsa, ed, short, other = Rsa(), Ed25519(), Rsa(512), Rsa()
    forwarded = dict(peer=STRANGER, helo="relay.test", mail_from="srs@relay.test")
    zone = REJECT + key("s", "lab.test", rsa.record)
    case("201-dkim-forwarded", "A forwarder breaks SPF, the signature still proves it", "inbox", zone,
         signed(PLAIN, "lab.test", rsa), peer=STRANGER)
    case("202-dkim-ed25519", "Ed25519 (RFC 8463)", "inbox", REJECT + key("e", "lab.test", ed.record),
         signed(PLAIN, "lab.test", ed, "e"), **forwarded)
    case("203-dkim-both", "Both algorithms, as RFC 8463 advises; one key is gone", "inbox", zone,
         signed(signed(PLAIN, "lab.test", rsa), "lab.test", ed, "e"), **forwarded)
    case("204-dkim-body-changed", "A list added a line at the end", "550", zone,
         signed(PLAIN, "lab.test", rsa) + "-- list footer\n", **forwarded)
    case("205-dkim-subject-changed", "A list changed the subject", "550", zone,
         signed(PLAIN, "lab.test", rsa).replace("Your results", "[list] Your results"), **forwarded)
    case("206-dkim-l-tag", "l= covers a part of the body: anything may have been added", "550", zone,
         odd(PLAIN, "lab.test", rsa, length=10) + "Pay to this account instead.\n", **forwarded)
    case("207-dkim-l-whole", "l= of the whole body is no better: whoever sent it on might have added", "550", zone,
         odd(PLAIN, "lab.test", rsa, length=len(crlf("The results are ready.\n"))), **forwarded)
    case("208-dkim-expired", "A signature past its x= proves nothing any more", "550", zone,
         odd(PLAIN, "lab.test", rsa, extra=" t=1700000000; x=1700003600;"), **forwarded)
    case("209-dkim-sha1", "rsa-sha1 is refused although it verifies (RFC 8301 3.1)", "550", zone,
         odd(PLAIN, "lab.test", rsa, algorithm="rsa-sha1", digest="sha1"), **forwarded)
    case("210-dkim-short-key", "An RSA key of 512 bits is refused (RFC 8301 3.2)", "550",
         REJECT + key("s", "lab.test", short.record), odd(PLAIN, "lab.test", short), **forwarded)
    case("211-dkim-from-unsigned", "From must be signed (RFC 6376 5.4)", "550", zone,
         odd(PLAIN, "lab.test", rsa, names="to:subject:date"), **forwarded)
    case("212-dkim-from-added", "A second From, put above the signed one, is what is read (RFC 6376 8.15)", "550", zone,
         "From: Director <director@lab.test>\n" + signed(PLAIN, "lab.test", rsa), **forwarded)
    case("213-dkim-key-revoked", "An empty p= revokes the key", "550", REJECT + key("s", "lab.test", "v=DKIM1; p="),
         signed(PLAIN, "lab.test", rsa), **forwarded)
    case("214-dkim-no-key", "No key at all", "550", REJECT, signed(PLAIN, "lab.test", rsa), **forwarded)
    case("215-dkim-key-for-other-use", "A key that is not for mail (s=tlsrpt, RFC 8460)", "550",
         REJECT + key("s", "lab.test", rsa.record.replace("k=rsa", "k=rsa; s=tlsrpt")), signed(PLAIN, "lab.test", rsa), **forwarded)
    case("216-dkim-key-sha1-only", "A key that allows only SHA-1", "550",
         REJECT + key("s", "lab.test", rsa.record.replace("k=rsa", "k=rsa; h=sha1")), signed(PLAIN, "lab.test", rsa), **forwarded)
    case("217-dkim-wrong-key", "Signed with another key than the one published", "550",
         REJECT + key("s", "lab.test", other.record), signed(PLAIN, "lab.test", rsa), **forwarded)
    case("218-dkim-tag-twice", "A tag that stands twice makes it void (RFC 6376 3.2)", "550", zone,
         odd(PLAIN, "lab.test", rsa, extra=" t=1; t=2;"), **forwarded)
    case("219-dkim-identity-strict", "t=s: i= must be of the very domain (RFC 6376 3.6.1)", "550",
         REJECT + key("s", "lab.test", rsa.record.replace("k=rsa", "k=rsa; t=s")),
         signed(PLAIN, "lab.test", rsa, identity="x@sub.lab.test"), **forwarded)
    case("220-dkim-key-unreachable", "The key cannot be looked up: a later try may prove it", "451",
         REJECT + "s._domainkey.lab.test SERVFAIL\n", signed(PLAIN, "lab.test", rsa), **forwarded)
    case("221-dkim-somebody-elses", "A good signature of somebody else's proves nothing for the lab", "550",
         REJECT + key("s", "list.test", other.record), signed(PLAIN, "list.test", other), **forwarded)
    case("222-dkim-no-policy-unaligned", "Without a policy somebody's signature is something in its favour", "inbox",
         LAB + key("s", "list.test", other.record), signed(PLAIN, "list.test", other), peer=STRANGER)
    case("223-dkim-garbage", "What cannot be read is said to be so", "inbox", LAB,
         "DKIM-Signature: v=1; a=rsa-sha256; d=lab.test; s=s; h=from; bh=!; b=?\n" + PLAIN)


def dmarc():
    ed = Ed25519()
    sub = PLAIN.replace("@lab.test", "@news.lab.test")
    far = dict(peer=STRANGER, helo="relay.test", mail_from="srs@relay.test")
    def policy(text):
        return LAB + f"_dmarc.lab.test TXT v=DMARC1; {text}\n"
    keys = key("s", "lab.test", ed.record) + key("s", "news.lab.test", ed.record)
    case("301-relaxed-parent-signs", "Relaxed: the organization signs for its subdomain", "inbox",
         policy("p=reject") + keys, signed(sub, "lab.test", ed), **far)
    case("302-relaxed-child-signs", "Relaxed: and the other way round", "inbox",
         policy("p=reject") + keys, signed(PLAIN, "news.lab.test", ed), **far)
    case("303-strict-dkim", "adkim=s: only the very domain", "550",
         policy("p=reject; adkim=s") + keys, signed(PLAIN, "news.lab.test", ed), **far)
    case("304-strict-spf", "aspf=s: the same for SPF", "550",
         policy("p=reject; aspf=s") + "bounce.lab.test TXT v=spf1 ip4:192.0.2.7 -all\n", mail_from="b@bounce.lab.test")
    case("305-subdomain-policy", "sp= holds for subdomains", "junk", policy("p=reject; sp=quarantine") + "news.lab.test A 192.0.2.9\n", sub, **far)
    case("306-own-record-of-subdomain", "A subdomain's own record comes before its organization's", "junk",
         policy("p=reject") + "_dmarc.news.lab.test TXT v=DMARC1; p=quarantine\n", sub, **far)
    case("307-np-nonexistent", "np= holds for subdomains that do not exist", "550", policy("p=none; np=reject"),
         PLAIN.replace("@lab.test", "@no.lab.test"), **far)
    case("308-np-existing", "and not for those that do", "inbox", policy("p=none; np=reject") + "news.lab.test A 192.0.2.9\n", sub, **far)
    case("309-testing-reject", "t=y steps reject down to Junk (RFC 9989 4.7)", "junk", policy("p=reject; t=y"), **far)
    case("310-testing-quarantine", "t=y steps quarantine down to nothing", "inbox", policy("p=quarantine; t=y"), **far)
    case("311-pct-is-history", "pct= is gone from DMARC and not looked at", "550", policy("p=reject; pct=0"), **far)
    case("312-two-records", "Two records at one name: none counts (RFC 9989 4.10)", "inbox", policy("p=reject") +
         "_dmarc.lab.test TXT v=DMARC1; p=none\n", **far)
    case("313-bad-p-with-rua", "p= that cannot be read is none for those who want reports", "inbox",
         policy("p=refuse; rua=mailto:d@lab.test"), **far)
    case("314-bad-p-alone", "and voids the record of others", "inbox", policy("p=refuse"), **far)
    case("315-unknown-tags", "Tags nobody knows change nothing", "550", policy("p=reject; future=1; adkim=x"), **far)
    case("316-public-suffix", "psd=y: neighbours under a public suffix are strangers", "550",
         "_dmarc.bank.test TXT v=DMARC1; p=reject; psd=y\nevil.bank.test TXT v=spf1 ip4:192.0.2.7 -all\n",
         PLAIN.replace("@lab.test", "@good.bank.test"), mail_from="x@evil.bank.test")
    case("317-public-suffix-own", "and who is below the same name there is not", "inbox",
         "_dmarc.bank.test TXT v=DMARC1; p=reject; psd=y\nmail.good.bank.test TXT v=spf1 ip4:192.0.2.7 -all\n",
         PLAIN.replace("@lab.test", "@good.bank.test"), mail_from="x@mail.good.bank.test")
    case("318-psd-n", "psd=n: a part of a university that is its own organization", "550",
         "_dmarc.uni.test TXT v=DMARC1; p=none\n_dmarc.law.uni.test TXT v=DMARC1; p=reject; psd=n\n"
         "uni.test TXT v=spf1 ip4:192.0.2.7 -all\n", PLAIN.replace("@lab.test", "@law.uni.test"), mail_from="x@uni.test")
    case("319-long-name", "Of a long name at most eight are asked (RFC 9989 4.10)", "550",
         policy("p=reject") + "a.b.c.d.e.f.g.h.i.j.lab.test A 192.0.2.9\n",
         PLAIN.replace("@lab.test", "@a.b.c.d.e.f.g.h.i.j.lab.test"), **far)
    case("320-policy-unreachable", "Not even the policy can be looked up: later", "451", "_dmarc.lab.test SERVFAIL\n" + LAB, **far)
    case("321-policy-unreachable-proven", "What the very domain proves passes under any policy", "inbox", "_dmarc.lab.test SERVFAIL\n" + LAB)
    case("322-parent-unreachable", "Names above the author's own record do not hide it", "550",
         "_dmarc.lab.test TXT v=DMARC1; p=reject\n_dmarc.test SERVFAIL\n",
         **far)
    case("323-silent-forger", "A forger whose DNS is silent does not get round the policy", "550",
         REJECT + "forger.test SILENT\n", peer=STRANGER, helo="x.test", mail_from="x@other.test")
    case("324-two-authors", "A second author does not free the first from his policy", "550",
         REJECT + "other.test TXT v=spf1 ip4:192.0.2.7 -all\n",
         PLAIN.replace("Lab <results@lab.test>", "a@other.test, Lab <results@lab.test>"), mail_from="a@other.test")
    case("325-two-from-fields", "nor does a second From field", "550", REJECT + "other.test TXT v=spf1 ip4:192.0.2.7 -all\n",
         "From: a@other.test\n" + PLAIN, mail_from="a@other.test")
    case("326-five-authors", "More authors' domains than anybody has", "junk", "other.test TXT v=spf1 ip4:192.0.2.7 -all\n",
         PLAIN.replace("Lab <results@lab.test>", ", ".join(f"a@d{n}.test" for n in range(5))), mail_from="a@other.test")
    case("327-no-from", "No author, so no policy", "inbox", REJECT, PLAIN.split("\n", 1)[1])
    case("328-idn", "A name in the author's own letters is the same name", "550",
         "xn--mller-kva.test TXT v=spf1 -all\n_dmarc.xn--mller-kva.test TXT v=DMARC1; p=reject\n",
         PLAIN.replace("@lab.test", "@müller.test"), **far)
    case("329-display-name-trick", "An address in the display name is no author", "inbox", REJECT + "other.test TXT v=spf1 ip4:192.0.2.7 -all\n",
         PLAIN.replace("Lab <results@lab.test>", '"results@lab.test" <a@other.test>'), mail_from="a@other.test")


def arc():
    lab, lst, uni, evil = Rsa(), Rsa(), Rsa(), Rsa()
    zone = (REJECT + key("s", "lab.test", lab.record) + key("arc", "list.test", lst.record)
            + key("arc", "uni.test", uni.record) + key("arc", "evil.test", evil.record))
    found = "dmarc=pass header.from=lab.test; dkim=pass header.d=lab.test"
    far = dict(peer=STRANGER, helo="list.test", mail_from="bounce@list.test")
    changed = signed(PLAIN, "lab.test", lab) + "-- list footer\n"
    through = sealed(changed, "list.test", lst, found)
    case("401-arc-unknown-sealer", "Anybody can seal: without trust a seal changes nothing", "550", zone, through, **far)
    case("402-arc-trusted-sealer", "A list the practice trusts says that it was proven before the list changed it", "inbox",
         zone, through, trusted=["list.test"], **far)
    case("403-arc-trusted-other", "Trust in another is none in this one", "550", zone, through, trusted=["uni.test"], **far)
    case("404-arc-changed-after", "Changed after the last seal", "550", zone, through + "one more line\n", trusted=["list.test"], **far)
    twice = sealed(through, "uni.test", uni, "arc=pass; dmarc=fail header.from=lab.test")
    case("405-arc-two-trusted", "Two trusted hands", "inbox", zone, twice, trusted=["list.test", "uni.test"], **far)
    case("406-arc-one-of-two-trusted", "A chain is as good as the worst in it", "550", zone, twice, trusted=["uni.test"], **far)
    forged = sealed(PLAIN, "evil.test", evil, found)
    case("407-arc-begun-by-forger", "A forger begins the chain, a trusted list passes it on", "550", zone,
         sealed(forged, "list.test", lst, "arc=pass; dmarc=fail header.from=lab.test"), trusted=["list.test"], **far)
    case("408-arc-first-found-nothing", "Trusted, and it says that nothing was proven", "550", zone,
         sealed(PLAIN, "list.test", lst, "dmarc=fail header.from=lab.test; spf=pass smtp.mailfrom=x@evil.test"),
         trusted=["list.test"], **far)
    case("409-arc-set-missing", "A set is not whole", "550", zone, re.sub(r"ARC-Seal:(.*\n)(?:[ \t].*\n)*", "", through), trusted=["list.test"], **far)
    gap = re.sub(r"i=1;", "i=3;", through)
    case("410-arc-gap", "The chain does not begin at one", "550", zone, gap, trusted=["list.test"], **far)
    case("411-arc-results-forged", "What the first found was rewritten", "550", zone,
         sealed(PLAIN, "list.test", lst, "dmarc=fail header.from=lab.test").replace("dmarc=fail", "dmarc=pass"),
         trusted=["list.test"], **far)
    case("412-arc-key-gone", "The sealer's key is gone", "550", zone.replace("arc._domainkey.list.test", "old._domainkey.list.test"),
         through, trusted=["list.test"], **far)
    case("413-arc-no-policy", "A seal without need changes nothing either", "inbox",
         LAB.replace("-all", "~all") + key("arc", "list.test", lst.record), sealed(PLAIN, "list.test", lst, "dmarc=none header.from=lab.test"), **far)


spf()
dkim_cases()
dmarc()
arc()
