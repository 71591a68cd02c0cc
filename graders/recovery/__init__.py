"""Measuring a recovery: RTO and RPO as intervals that hold the true value, or a reason why there is none.

Everything here is a pure function of `records`: nothing probes, waits or writes, and no lab is known.

    records      what probes, a processor's control and a ledger leave in a bundle
    probes       open-loop slots, and what counts as a failure
    intervals    an interval of seconds, censored or not, and what repeated ones say of a target
    outages    what one probe saw of a fault: brackets, outage, RTO
    voids        why a measurement is none: late slots, a starved processor, a dead process
    rto          all probes of one fault together
    seals        HMACs that bind a ledger's records to their run, place and time
    rpo          which prefix of the ledger came back, what is wrong with it, how much was lost
"""
