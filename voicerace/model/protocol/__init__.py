"""The messages of both protocols: names, builders, readers, and the ledger of the upstream link."""
