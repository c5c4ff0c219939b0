"""The engines: one file for each way of being a WhatsApp device."""
