"""SoupBinTCP as a server: sessions of numbered messages that any client may read again."""
