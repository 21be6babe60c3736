"""Processes to look at."""

from __future__ import annotations

from dataclasses import replace

from mikoshi.core.messages import ProcessView

RUNNING = ProcessView("web", 1, 7, 3, True, 100, "running", 100.0, 0, "127.0.0.1:80", cpu=5.0, memory=23_000_000)
LEAVING = replace(RUNNING, seq=6, generation=2, wanted=False, pid=90)
STOPPING = replace(LEAVING, state="stopping")
TRIAL = replace(RUNNING, number=0, generation=0, wanted=False, state="trial", up=0.5, pid=110)
NEW = replace(RUNNING, number=2, up=3.0, pid=120)
CRASHING = replace(RUNNING, number=3, pid=0, state="waiting", up=0.0, ends=5, last_status=3, cpu=0.0, memory=0)
UNSTARTED = replace(CRASHING, last_status=None, reason="no room")
