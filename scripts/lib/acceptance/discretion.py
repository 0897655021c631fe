"""What a report must not hold: passwords never, names and addresses if asked."""
import ipaddress
import platform
import re
import urllib.parse

import environment
from phases import value_of

SHORTEST = 4  # a password of three letters is no secret, and would leave holes all over the report


def password_of(url):
    match = re.match(r"\w+://([^/@]*)@", url or "")
    return match.group(1).partition(":")[2] if match else ""


def secrets(arguments, variables):
    """Everything that is known to be a password, as written and as meant."""
    urls = [variables.get("AMQP_URL"), value_of(arguments, "--url"), value_of(arguments, "-U")]
    file = value_of(arguments, "--url-file")
    urls.append((environment.read(file) or "").partition("\n")[0] if file else None)
    found = {password_of(url) for url in urls} | {variables.get("HAREWIRE_PASSWORD") or ""}
    config = value_of(arguments, "--config")
    for match in re.finditer(r"^\s*(?:password|url):\s*[\"']?([^\"'\n]+)", environment.read(config) or "" if config else "", re.MULTILINE):
        found.add(password_of(match.group(1)) if "://" in match.group(1) else match.group(1).strip())
    found |= {urllib.parse.unquote(secret) for secret in found}
    return sorted((secret for secret in found if len(secret) >= SHORTEST), key=len, reverse=True)


def without_secrets(text, known):
    text = re.sub(r"(amqps?://)[^/@\s\"']*@", r"\1***@", text)
    for secret in known:
        text = text.replace(secret, "***")
    return text


def is_address(text):
    try:
        ipaddress.ip_address(text)
        return True
    except ValueError:
        return False


def masked(text, hosts):
    """Host names, IP addresses and MACs as <host-1>, <ip-2>, <mac-1>: the same one has the same number everywhere."""
    numbers = {}

    def stand_in(kind, name):
        seen = numbers.setdefault(kind, {})
        return f"<{kind}-{seen.setdefault(name, len(seen) + 1)}>"

    text = re.sub(r"\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\b", lambda m: stand_in("mac", m.group().lower()), text)
    text = re.sub(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\w)|(?<![\w:.])[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:]*",
                  lambda m: stand_in("ip", m.group()) if is_address(m.group()) else m.group(), text)
    for host in sorted({h for h in hosts if h and not is_address(h)}, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-]|\.\w)", lambda m: stand_in("host", m.group().lower()), text, flags=re.IGNORECASE)
    return text


def hosts(arguments, variables):
    """Names by which the two ends are known: this host's, and the broker's."""
    found = [platform.node(), platform.node().partition(".")[0]]
    for url in (variables.get("AMQP_URL"), value_of(arguments, "--url"), value_of(arguments, "-U")):
        if url:
            found.append(urllib.parse.urlsplit(url).hostname)
    return [name for name in found if name and name != "localhost"]
