"""Measuring a recovery: RTO and RPO as intervals that hold the true value, or a reason why there is none.

Everything here is pure: nothing probes or waits, and no lab is known.

    records      what faults, probes, a ledger and a runbook leave in a bundle
    probes       open-loop slots, and what counts as a failure
    intervals    an interval of seconds, censored or not, and what repeated ones say of a target
    outages      what one probe saw of a fault: brackets, outage, RTO
    voids        why a measurement is none: late slots, a starved processor, a dead process
    rto          all probes of one fault together
    seals        HMACs that bind a ledger's records to their run, place and time
    rpo          which prefix of the ledger came back, what is wrong with it, how much was lost
    recoveryrecord  all of it read from a bundle, on the terms of a lab
    objectives   whether a fault was over in time, and cost no more than it may
    evidence     a drill as a file: written from the record, and read again
    panels       what a report draws of a drill
"""
