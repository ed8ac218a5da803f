"""Python's own IMAP client at work: what it parses, it parses strictly."""

import imaplib
import ssl
import sys
import time

port, certificate, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=certificate)
imap = imaplib.IMAP4_SSL("localhost", int(port), ssl_context=context)


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


assert "IMAP4REV1" in imap.capabilities
ok(imap.login(user, password))
ok(imap.create("Lab"))
names = [line.decode() for line in ok(imap.list())]
assert any(name.endswith('"/" "Lab"') for name in names), names

message = b"From: ana@lab.test\r\nSubject: From Python\r\n\r\nHello.\r\n"
moment = imaplib.Time2Internaldate(time.time())
ok(imap.append("Lab", "(\\Seen)", moment, message))
ok(imap.append("Lab", None, None, message.replace(b"Hello", b"Goodbye")))
assert ok(imap.select("Lab")) == [b"2"]

(head, body), _ = ok(imap.fetch("1", "(RFC822)"))
assert body == message, body
data = ok(imap.fetch("1:*", "(UID FLAGS ENVELOPE BODYSTRUCTURE)"))
assert len(data) == 2 and b'"From Python"' in data[0], data
assert ok(imap.search(None, "UNSEEN")) == [b"2"]
assert ok(imap.search("UTF-8", "BODY", '"goodbye"')) == [b"2"]
assert ok(imap.uid("SEARCH", "SUBJECT", "python")) == [b"1 2"]

ok(imap.store("2", "+FLAGS", "(\\Deleted $Label1)"))
ok(imap.copy("1", "Archive"))
assert ok(imap.expunge()) == [b"2"]
assert ok(imap.status("Lab", "(MESSAGES UIDNEXT)")) == [b'"Lab" (MESSAGES 1 UIDNEXT 3)']
ok(imap.rename("Lab", "Laboratory"))
ok(imap.close())
ok(imap.delete("Laboratory"))
imap.logout()
