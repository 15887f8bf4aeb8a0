"""The formats of names, labels and ports, and what Kubernetes says of a value that has not that format.

Each function returns the list of complaints, empty for a good value (k8s.io/apimachinery/pkg/util/validation).
Selectors, validation and the parts that generate names share them, so they stand in the shared package.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + "(\\." + _LABEL + ")*"
_SUBDOMAIN_SHOWN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_UNDERSCORED = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HEADER = "[-A-Za-z0-9]+"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_WILDCARD = "\\*\\." + _SUBDOMAIN_SHOWN

_label = re.compile(_LABEL, re.ASCII).fullmatch
_subdomain = re.compile(_SUBDOMAIN, re.ASCII).fullmatch
_underscored = re.compile(_UNDERSCORED, re.ASCII).fullmatch
_label_1035 = re.compile(_LABEL_1035, re.ASCII).fullmatch
_qualified = re.compile(_QUALIFIED, re.ASCII).fullmatch
_config_key = re.compile(_CONFIG_KEY, re.ASCII).fullmatch
_header = re.compile(_HEADER, re.ASCII).fullmatch
_c_identifier = re.compile(_C_IDENTIFIER, re.ASCII).fullmatch
_wildcard = re.compile(_WILDCARD, re.ASCII).fullmatch
_port_characters = re.compile(r"[-a-z0-9]+", re.ASCII).fullmatch
_letter = re.compile("[a-z]").search

EMPTY = "must be non-empty"
_QUALIFIED_WORDS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_LABEL_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)


def regex_error(words: str, pattern: str, *examples: str) -> str:
    """How Kubernetes says that a value does not match a pattern."""
    if not examples:
        return f"{words} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{words} (e.g. {shown}regex used for validation is '{pattern}')"


def max_length_error(length: int) -> str:
    return f"must be no more than {length} bytes"


def range_error(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def _size(value: str) -> int:
    return len(value.encode("utf-8", "surrogatepass"))


def label_name(value: str) -> list[str]:
    """A DNS label (RFC 1123): at most 63 bytes."""
    errors = [max_length_error(63)] if _size(value) > 63 else []
    if not _label(value):
        if _subdomain(value):
            errors.append("must not contain dots")
        else:
            errors.append(regex_error(_LABEL_WORDS, _LABEL, "my-name", "123-abc"))
    return errors


def subdomain_name(value: str) -> list[str]:
    """A DNS subdomain (RFC 1123): at most 253 bytes."""
    errors = [max_length_error(253)] if _size(value) > 253 else []
    if not _subdomain(value):
        errors.append(regex_error(_SUBDOMAIN_WORDS, _SUBDOMAIN_SHOWN, "example.com"))
    return errors


def search_name(value: str) -> list[str]:
    """A name that is searched in: like a subdomain, and its labels may have underscores."""
    errors = [max_length_error(253)] if _size(value) > 253 else []
    if not _underscored(value):
        words = _SUBDOMAIN_WORDS.replace("'-' or", "'_', '-' or")
        errors.append(regex_error(words, _UNDERSCORED, "example.com"))
    return errors


def label_name_1035(value: str) -> list[str]:
    """A DNS label that starts with a letter (RFC 1035), as Services are named."""
    errors = [max_length_error(63)] if _size(value) > 63 else []
    if not _label_1035(value):
        errors.append(regex_error(_LABEL_1035_WORDS, _LABEL_1035, "my-name", "abc-123"))
    return errors


def wildcard_subdomain(value: str) -> list[str]:
    """A DNS name with a wildcard first label, as an Ingress host may be."""
    errors = [max_length_error(253)] if _size(value) > 253 else []
    if not _wildcard(value):
        words = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        )
        errors.append(regex_error(words, _WILDCARD, "*.example.com"))
    return errors


def qualified_name(value: str) -> list[str]:
    """A label key: a name, with an optional DNS prefix and a slash."""
    return list(_qualified_name(value))


@lru_cache(4096)
def _qualified_name(value: str) -> tuple[str, ...]:
    errors: list[str] = []
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        words = regex_error(_QUALIFIED_WORDS, _QUALIFIED, "MyName", "my.name", "123-abc")
        return (f"a qualified name {words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    if slash:
        if not prefix:
            errors.append(f"prefix part {EMPTY}")
        else:
            errors += [f"prefix part {error}" for error in subdomain_name(prefix)]
    if not name:
        errors.append(f"name part {EMPTY}")
    elif _size(name) > 63:
        errors.append(f"name part {max_length_error(63)}")
    if not _qualified(name):
        errors.append("name part " + regex_error(_QUALIFIED_WORDS, _QUALIFIED, "MyName", "my.name", "123-abc"))
    return tuple(errors)


def label_value(value: str) -> list[str]:
    """A label's value: empty, or at most 63 bytes of letters, digits, '-', '_' and '.'."""
    errors = [max_length_error(63)] if _size(value) > 63 else []
    if value and not _qualified(value):
        words = (
            f"a valid label must be an empty string or consist of {_QUALIFIED_WORDS.removeprefix('must consist of ')}"
        )
        errors.append(regex_error(words, f"({_QUALIFIED})?", "MyValue", "my_value", "12345"))
    return errors


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else [range_error(1, 65535)]


def port_name(value: str) -> list[str]:
    """An IANA service name: at most 15 characters."""
    errors = [max_length_error(15)] if _size(value) > 15 else []
    if not _port_characters(value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _letter(value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def environment_name(value: str) -> list[str]:
    """A variable's name: printable ASCII without '='."""
    if not value:
        return [f"environment variable name {EMPTY}"]
    if all(" " <= character <= "~" and character != "=" for character in value):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def c_identifier(value: str) -> list[str]:
    if _c_identifier(value):
        return []
    words = (
        "a valid C identifier must start with alphabetic character or '_', "
        "followed by a string of alphanumeric characters or '_'"
    )
    return [regex_error(words, _C_IDENTIFIER, "my_name", "MY_NAME", "MyName")]


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret; it becomes a file name."""
    errors = [max_length_error(253)] if _size(value) > 253 else []
    if not _config_key(value):
        words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        errors.append(regex_error(words, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if value == ".":
        errors.append("must not be '.'")
    elif value == "..":
        errors.append("must not be '..'")
    elif value.startswith(".."):
        errors.append("must not start with '..'")
    return errors


def header_name(value: str) -> list[str]:
    if _header(value):
        return []
    return [regex_error("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")]


def ip_address(value: str) -> list[str]:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return []


def cidr(value: str) -> list[str]:
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    if "/" not in value:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    return []
