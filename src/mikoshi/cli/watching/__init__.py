"""What `mikoshi top` shows: rows.py and page.py are pure, keys.py and live.py are the terminal."""
