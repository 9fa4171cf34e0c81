"""Which requests, names and email addresses are accepted. Everything accepted is stored exactly, except that an email
address is written the way email-validator normalizes it (its domain in lower case)."""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from email_validator import EmailNotValidError, validate_email
from flask import request
from werkzeug.exceptions import BadRequest, Forbidden, UnsupportedMediaType

NAME_LENGTH = 100  # characters
EMAIL_LENGTH = 254  # characters, the most that SMTP can deliver to

# Line and paragraph separators break lines as control characters do; half a surrogate pair is no character at all.
FORBIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
INVISIBLE_CATEGORIES = {"Cf", "Zs"}


def refuse_other_sites() -> None:
    """Raise 403 for a POST from a page of another origin (CSRF). Programs that name no origin are allowed.

    Sec-Fetch-Site is trusted: no page can forge it, and it is right even behind a proxy that rewrites Host or Origin.
    Browsers send it to https and localhost only, but they send Origin with every POST.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    same = site in ("same-origin", "none") if site else origin is None or origin.partition("://")[2] == request.host
    if request.method == "POST" and not same:
        raise Forbidden("This form may be sent from its own page only.")


def read_fields() -> Mapping[str, Any]:
    """Return what the client sent, from JSON or a form. Raises 400, 413 or 415."""
    body = request.get_data()
    if request.is_json:
        try:
            fields = json.loads(body.decode())
        except (ValueError, RecursionError):
            raise BadRequest("This is not valid JSON in UTF-8.") from None
        if not isinstance(fields, dict):
            raise BadRequest('Please send a JSON object: {"name": "...", "email": "..."}.')
        return fields
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        try:
            unquote_to_bytes(body).decode()
        except ValueError:
            raise BadRequest("This form is not in UTF-8.") from None
        return request.form
    raise UnsupportedMediaType("Please send JSON (Content-Type: application/json) or a form.")


def check_text(value: object, what: str, length: int) -> str | None:
    """Return the sentence that says why `value` is no acceptable `what`, or None."""
    if value is None:
        return f"Please enter {what}."
    if not isinstance(value, str):
        return f"Please give {what} as text."
    categories = {unicodedata.category(character) for character in value}
    if categories & FORBIDDEN_CATEGORIES:
        return "Line breaks and other control characters are not allowed."
    if categories <= INVISIBLE_CATEGORIES:
        return f"Please enter {what}."
    if len(value) > length:
        return f"This is too long: {length} characters at most."
    return None


def check_user(fields: Mapping[str, Any]) -> tuple[Any, Any, dict[str, str]]:
    """Check a mapping with `name` and `email`. Returns (name, email, errors): a sentence for each wrong field."""
    name, email = fields.get("name"), fields.get("email")
    errors = {}
    if sentence := check_text(name, "a name", NAME_LENGTH):
        errors["name"] = sentence
    if sentence := check_text(email, "an email address", EMAIL_LENGTH):
        errors["email"] = sentence
    else:
        try:
            # Do not check that the domain exists: the pod cannot reach outside DNS, and the demo sends no mail.
            # strict: the part before the @ has 64 characters at most. test_environment: addresses under .test are fine.
            email = validate_email(email, check_deliverability=False, strict=True, test_environment=True).normalized  # type: ignore[arg-type]
        except EmailNotValidError as error:
            errors["email"] = str(error)
    return name, email, errors
