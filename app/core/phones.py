"""Phone numbers: read as people write them, stored in one form, shown as people in a country write them.

A number is stored in E.164 form, "+493012345678", with ";ext=12" after it when it has an extension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import BadInput

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

# A number that the library doesn't know yet is accepted when it has at least nine digits and a possible
# length, because new ranges are assigned all the time.
_MIN_UNKNOWN_NUMBER = 10**8


def read_phone(text: str, country: str) -> str:
    """Return a phone number as it is stored. Raises BadInput.

    A number without a + is read as people in the country dial it; `country` is two letters, such as "DE".
    """
    import phonenumbers  # here and below, because its metadata takes 10 MB

    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        raise _unreadable(country) from None
    if not _is_plausible(number):
        raise _unreadable(country)
    extension = f";ext={number.extension}" if number.extension else ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) + extension


def format_phone(phone: str | None, country: str) -> str | None:
    """Return a stored number as people in a country write it: with a country code only if it is abroad."""
    import phonenumbers

    if not phone:
        return phone
    number = phonenumbers.parse(phone)
    if number.country_code == phonenumbers.country_code_for_region(country):
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _is_plausible(number: PhoneNumber) -> bool:
    import phonenumbers

    if phonenumbers.is_valid_number(number):
        return True
    return phonenumbers.is_possible_number(number) and (number.national_number or 0) >= _MIN_UNKNOWN_NUMBER


def _unreadable(country: str) -> BadInput:
    import phonenumbers

    example = phonenumbers.example_number(country)
    local = ""
    if example is not None:
        local = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL) + ", or "
    return BadInput(
        f"Phone: please write the whole number, such as {local}+49 30 123456 from abroad.", field="phone"
    )
