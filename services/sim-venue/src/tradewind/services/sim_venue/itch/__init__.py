"""The market as ITCH 5.0: every order of every book, over SoupBinTCP."""
