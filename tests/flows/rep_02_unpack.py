"""Reads a mail from standard input and writes the report attached to it, unpacked, to standard output."""

import email
import email.policy
import gzip
import sys

mail = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
part = next(part for part in mail.walk() if part.get_filename())
sys.stdout.buffer.write(gzip.decompress(part.get_payload(decode=True)))
