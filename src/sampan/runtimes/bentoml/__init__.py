"""BentoML: a Bento's service class, behind BentoML's own REST API.

What belongs here: importing the service in its environment and answering for its APIs. What is
plain (JSON in, a value out) is answered on the server's own wire; everything else (files, streams,
tasks, contexts, mounted applications) by the application that BentoML makes of the service.
"""
