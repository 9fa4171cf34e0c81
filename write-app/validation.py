"""Which names and email addresses are accepted. Everything accepted is stored exactly, except that an email
address is written the way email-validator normalises it (its domain in lower case)."""

import unicodedata

from email_validator import EmailNotValidError, validate_email

NAME_LENGTH = 100  # characters
EMAIL_LENGTH = 254  # characters, the most that SMTP can deliver to

# Line and paragraph separators break lines as control characters do; half a surrogate pair is no character at all.
FORBIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
INVISIBLE_CATEGORIES = {"Cf", "Zs"}


def check_text(value, what, length):
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


def check_user(fields):
    """Check a mapping with `name` and `email`. Returns (name, email, errors): a sentence for each wrong field."""
    name, email = fields.get("name"), fields.get("email")
    errors = {}
    if sentence := check_text(name, "a name", NAME_LENGTH):
        errors["name"] = sentence
    if sentence := check_text(email, "an email address", EMAIL_LENGTH):
        errors["email"] = sentence
    else:
        try:
            # Whether the domain exists is not asked: the pod can reach no DNS outside, and the demo sends no mail.
            # strict: the part before the @ has 64 characters at most. test_environment: addresses under .test are fine.
            email = validate_email(email, check_deliverability=False, strict=True, test_environment=True).normalized
        except EmailNotValidError as error:
            errors["email"] = str(error)
    return name, email, errors
