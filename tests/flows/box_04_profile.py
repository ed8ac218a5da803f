"""What a configuration profile says, as JSON: `profile.py FILE`. Read by Python's own plistlib."""

import json
import plistlib
import sys
import uuid

with open(sys.argv[1], "rb") as file:
    profile = plistlib.load(file)
mail, = profile["PayloadContent"]
for payload in (profile, mail):
    uuid.UUID(payload["PayloadUUID"])
assert profile["PayloadType"] == "Configuration" and mail["PayloadType"] == "com.apple.mail.managed"
assert profile["PayloadUUID"] != mail["PayloadUUID"]
print(json.dumps(mail))
