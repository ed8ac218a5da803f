"""A mail program's day against a running server: ip, root certificate, two addresses, password."""
import imaplib
import smtplib
import socket
import ssl
import sys
import threading
import time
from email.message import EmailMessage

ip, root, dana, lee, password = sys.argv[1:]
context = ssl.create_default_context(cafile=root)


class Imap(imaplib.IMAP4_SSL):
    """Connects to the address, checks the certificate against the name."""

    def _create_socket(self, timeout=None):
        raw = socket.create_connection((ip, 9930))
        return context.wrap_socket(raw, server_hostname="mail.clinic.test")


def login():
    imap = Imap("mail.clinic.test", 9930, ssl_context=context)
    imap.login(dana, password)
    return imap


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


imap = login()
capabilities = ok(imap.capability())[0].decode().split()
for capability in ["IDLE", "UIDPLUS", "MOVE", "SPECIAL-USE", "NAMESPACE", "LITERAL+", "UNSELECT", "ENABLE",
                   "ID", "CONDSTORE", "LIST-STATUS", "ESEARCH"]:
    assert capability in capabilities, (capability, capabilities)

names = b" ".join(ok(imap.list())).decode()
for use in ["\\Drafts", "\\Sent", "\\Junk", "\\Trash", "\\Archive"]:
    assert use in names, names

assert ok(imap.select("INBOX")) == [b"5"]
envelope = ok(imap.fetch("3", "(ENVELOPE FLAGS UID INTERNALDATE RFC822.SIZE BODYSTRUCTURE)"))[0].decode()
assert "letter 3" in envelope, envelope
body = ok(imap.fetch("3", "(BODY[])"))[0][1]
assert b"text 3" in body
assert b"\\Seen" in ok(imap.fetch("3", "(FLAGS)"))[0]
assert ok(imap.search(None, "SUBJECT", '"letter 4"')) == [b"4"]
assert ok(imap.search(None, "BODY", '"text 5"')) == [b"5"]
assert ok(imap.search(None, "UNSEEN")) == [b"1 2 4 5"]

ok(imap.store("1", "+FLAGS", "(\\Flagged $Important)"))
assert b"$Important" in ok(imap.fetch("1", "(FLAGS)"))[0]
ok(imap.create("Patients/2026"))
ok(imap.copy("1", "Patients/2026"))
uid = ok(imap.fetch("2", "(UID)"))[0].split(b"UID ")[1].rstrip(b")").decode()
ok(imap.uid("MOVE", uid, "Archive"))
ok(imap.store("1", "+FLAGS", "\\Deleted"))
ok(imap.expunge())
assert ok(imap.select("INBOX")) == [b"3"]
assert ok(imap.select("Patients/2026")) == [b"1"]
copied = ok(imap.fetch("1", "(FLAGS BODY.PEEK[TEXT])"))
assert b"text 1" in copied[0][1], copied
ok(imap.rename("Patients/2026", "Patients/2027"))
ok(imap.unselect())

# Sent mail is kept by the client, as mail programs do.
letter = EmailMessage()
letter["From"], letter["To"], letter["Subject"] = dana, lee, "Lunch"
letter.set_content("See you at lunch.\n")
ok(imap.append("Sent", "\\Seen", imaplib.Time2Internaldate(time.time()), letter.as_bytes()))

# A second session learns what the first one does, and wakes from IDLE.
watcher = login()
ok(watcher.select("INBOX"))
watcher.send(b"x1 IDLE\r\n")
assert watcher.readline().startswith(b"+")
woken = []
thread = threading.Thread(target=lambda: woken.append(watcher.readline()))
thread.start()
ok(imap.select("INBOX"))
ok(imap.append("INBOX", None, None, letter.as_bytes()))
thread.join(10)
assert woken and b"EXISTS" in woken[0], woken
watcher.send(b"DONE\r\n")


class Smtp(smtplib.SMTP):
    """Connects to the address, checks the certificate against the name."""

    def _get_socket(self, host, port, timeout):
        return socket.create_connection((ip, port), timeout)


smtp = Smtp("mail.clinic.test", 5870)
smtp.starttls(context=context)
smtp.login(dana, password)
refused = smtp.send_message(letter)
assert not refused, refused
smtp.quit()
imap.logout()
print("a full day")
