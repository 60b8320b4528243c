"""Who may do what only one does at a time: a row with a name, a holder and an end."""

from sqlalchemy import Connection, case, or_, update

from services.ledger.database.job_tables import leases
from services.ledger.database.statements import insert


def acquire(connection: Connection, name: str, holder: str, now: int, until: int) -> int | None:
    """Hold, or go on holding, what nobody else holds now; None: somebody does.

    Args:
        until: when it ends unless it is held on (microseconds since 1970).

    Returns:
        a token that grows each time another one gets it.
    """
    columns = leases.c
    row = insert(connection, leases).values(name=name, holder=holder, token=1, until=until)
    taken = row.on_conflict_do_update(
        index_elements=[columns.name],
        set_={
            "holder": holder,
            "until": until,
            "token": case((columns.holder == holder, columns.token), else_=columns.token + 1),
        },
        where=or_(columns.holder == holder, columns.until <= now),
    )
    token: int | None = connection.scalar(taken.returning(columns.token))
    return token


def release(connection: Connection, name: str, holder: str) -> None:
    """Let others have it at once."""
    mine = (leases.c.name == name, leases.c.holder == holder)
    connection.execute(update(leases).where(*mine).values(until=0))
