"""What clients of plain HTTP trust: nobody, which is had at once; reading the system's certificates takes 30 ms."""

import ssl

NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
