"""The state of the fleet as it is known now: kept up to date in memory, told as a stream, shown on the page.

It uses the gateway's stores and judgments; the API's stream, the page and the downtime ledger read it. Begin with
`live`, then `feed`.
"""
