"""An iPhone and an Outlook, as far as they talk to the server: `phone.py IP PORT HOST AUTHORITY ADDRESS PASSWORD FILE`.

Signs in to the staff pages, connects a phone and keeps the profile that it is given in FILE; then asks Autodiscover.
Says what it saw as JSON."""

import html
import http.client
import http.cookies
import json
import re
import socket
import ssl
import sys
import urllib.parse
import xml.etree.ElementTree as ET

ip, port, host, authority, address, password, file = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)


class Browser:
    """Keeps cookies and says what it is."""

    def __init__(self, agent):
        self.agent, self.cookies = agent, {}

    def ask(self, method, path, body=None, to=host, kind="application/x-www-form-urlencoded"):
        connection = http.client.HTTPSConnection(to, int(port), context=context)
        connection.sock = context.wrap_socket(
            socket.create_connection((ip, int(port)), timeout=30), server_hostname=to)
        headers = {"User-Agent": self.agent, "Host": f"{to}:{port}"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if body is not None:
            headers["Content-Type"] = kind
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        for value in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in http.cookies.SimpleCookie(value).items():
                self.cookies[name] = morsel.value
        text = answer.read()
        if answer.status in (302, 303, 307):
            return self.ask("GET", urllib.parse.urlsplit(answer.headers["Location"]).path, to=to)
        return answer, text

    def page(self, path):
        answer, text = self.ask("GET", path)
        assert answer.status == 200, (path, answer.status, text)
        return text.decode()

    def form(self, path, page, **fields):
        fields["form_token"] = re.search(r'name="form_token" value="([^"]*)"', page)[1]
        answer, text = self.ask("POST", path, urllib.parse.urlencode(fields))
        assert answer.status == 200, (path, answer.status, text)
        return text.decode()


computer = Browser("Mozilla/5.0 (X11; Linux x86_64)")
computer.form("/staff", computer.page("/staff"), address=address, password=password, next="")
page = computer.form("/staff/phone", computer.page("/staff/phone"), name="iPhone")
link = urllib.parse.urlsplit(html.unescape(re.search(r'href="([^"]*/staff/connect/[^"]*)"', page)[1])).path

phone = Browser("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)")
page = phone.form(link, phone.page(link))
profile = html.unescape(re.search(r'href="([^"]*mail\.mobileconfig)"', page)[1])
answer, signed = phone.ask("GET", profile)
assert answer.status == 200, answer.status
with open(file, "wb") as out:
    out.write(signed)
stranger, _ = Browser("Mozilla/5.0 (iPhone)").ask("GET", profile)

OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/"
RESPONSE = OUTLOOK + "responseschema/2006a"


def outlook(who):
    request = ET.Element("{%s}Autodiscover" % (OUTLOOK + "requestschema/2006"))
    inner = ET.SubElement(request, "{%s}Request" % (OUTLOOK + "requestschema/2006"))
    ET.SubElement(inner, "{%s}EMailAddress" % (OUTLOOK + "requestschema/2006")).text = who
    ET.SubElement(inner, "{%s}AcceptableResponseSchema" % (OUTLOOK + "requestschema/2006")).text = RESPONSE
    answer, text = Browser("Microsoft Office/16.0 (Outlook)").ask(
        "POST", "/autodiscover/autodiscover.xml", ET.tostring(request, "utf-8", xml_declaration=True),
        to="autodiscover." + address.split("@")[1], kind="text/xml")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/xml"), answer.status
    return ET.fromstring(text)


found = [{element.tag.split("}")[1]: element.text for element in protocol}
         for protocol in outlook(address).iter("{%s}Protocol" % RESPONSE)]
known, unknown = (ET.tostring(outlook(who)).replace(who.encode(), b"") for who in (address, "nobody@" + address.split("@")[1]))
print(json.dumps({
    "type": answer.headers["Content-Type"],
    "stranger": stranger.status,
    "outlook": found,
    "tells": known != unknown,
}))
