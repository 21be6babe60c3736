"""One small application in the form each kind of server takes.

`GET /` answers the generation's name and a newline, `POST /` the same and what was posted, `GET /stream/N/M` the same
and N lines that come M milliseconds after one another.
"""
