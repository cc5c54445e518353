import Glibc

// Not exit(): it would run OpenSSL's handlers while a login may be in the middle of a handshake.
_exit(Warmgate.run(CommandLine.arguments, environment: Warmgate.environment()))
