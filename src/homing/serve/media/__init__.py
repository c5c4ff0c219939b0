"""Files in requests and answers: read as they come, given out as they are asked for."""
