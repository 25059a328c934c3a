"""The subcommands of ``simsnn``, one module each: ``add`` puts its options on the parser."""

from simsnn_ref.commands import (
    certify,
    dns,
    doctor,
    examples,
    fit,
    info,
    predict,
    reference,
    report,
    reproduce,
    resume,
    spectrum,
    verify,
    watch,
)

__all__ = ["COMMANDS"]

COMMANDS = (
    *(fit, resume, watch, report, predict, certify, info, examples),
    *(spectrum, dns, reproduce, verify, reference, doctor),
)
"""In the order that ``simsnn --help`` lists them."""
