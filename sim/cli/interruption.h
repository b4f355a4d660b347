// Commands that are told to end, and say first what they have.
#pragma once

namespace vxmesh::cli {

// From now on SIGINT and SIGTERM do not end this process, but are what interruption() says.
void take_interruptions();

// The signal that asked for an end; 0: none has.
[[nodiscard]] int interruption();

// The exit status of an interrupted command. Shells say so that a signal has ended a program.
// Requires: interruption() != 0.
[[nodiscard]] int interrupted_status();

}  // namespace vxmesh::cli
