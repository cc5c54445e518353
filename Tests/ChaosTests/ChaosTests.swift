import Testing

/// Faults injected into a real PostgreSQL while 64 tasks use a pool of ten connections. One at a time: each is
/// measured, and needs the machine.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ChaosTests {}
