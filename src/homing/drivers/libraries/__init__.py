"""What gateways say because of the library that they are built around, so it is the same in several families.

Each file says what one library's errors or messages mean; the families' folders import it.
Begin with `whatsapp_web`.
"""
