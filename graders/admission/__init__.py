"""Policies of API servers, who judges by them, and what is tried against them; no lab is known here.

kinds         what policies can be, of all engines, in one table
engines       Kyverno and Gatekeeper, a process for each cluster
latewatches   follows kinds that come by what is stored, as Gatekeeper's constraints do
denials       whether an answer is a refusal, and whether a policy's
specimens     objects that break no rule, *restricted* included, to be changed
attempts      what breaks one control of *restricted*, and how an attempt is changed from a specimen
trying        attempts made, and their answers on record
reviews       access reviews: whether a user may do what is not its business
meshkinds     the manifests of a mesh, before an API server that has its kinds
records       attempts, access reviews and such answers as they are on record
"""
