"""The order of effects, written once: lease, observe, plan, apply, record.

Works through the ports alone, never with an adapter's own types.
"""
