"""The probe: a steady rate of requests to the site while a rollout goes on, and what became of them.

Must never repeat a request, leave one out of the figures, or decide how a rollout goes: core.rollout is told.
"""
