"""A model of the webjs Node service, as a process of its own: what a gateway in front of a real fleet meets.

It answers as the recorded traffic does (`tests/fixtures/transcripts/webjs-node-service.json`, ltmoerdani/blazz
whatsapp-service 5d71136) and knows nothing of homing. Browsers are timers; logins are folders; a test is the phone, by
the control port. What it does to logins, and what reaches a recipient, is written to the judge's file.
"""
