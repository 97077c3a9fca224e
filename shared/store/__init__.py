"""The truth: one relational schema and the stores that read and write it.

    database    connections, transactions, the database's own clock
    schema      the tables and who writes each
    migrate     schema versions, the keyring and the first admin key
    providers   providers and their sealed keys            writer: registry
    access      API keys                                   writer: registry
    events      the gapless outbox of provider events      writers: registry, discovery worker
    catalogue   verdicts and models of each provider       writer: discovery worker
    refreshes   refreshes that are asked for               writer: registry
    checks      tests of unsaved providers                 writers: registry, discovery worker
    jobs        chat jobs, their attempts and gates        writers: registry, chat worker
    leases      workers and leaders                        writer: each its own row

Every function takes the connection of an open transaction: the caller decides what commits
together.
"""
