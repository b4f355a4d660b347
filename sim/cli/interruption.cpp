#include "sim/cli/interruption.h"

#include <csignal>

#include "base/check.h"

namespace vxmesh::cli {
namespace {

constexpr int kSignalled = 128;

volatile std::sig_atomic_t g_asked_to_end = 0;

}  // namespace

void take_interruptions() {
  for (const int number : {SIGINT, SIGTERM}) {
    std::signal(number, [](int asked) { g_asked_to_end = asked; });
  }
}

int interruption() {
  return g_asked_to_end;
}

int interrupted_status() {
  check(g_asked_to_end != 0, "who was not interrupted ends otherwise");
  return kSignalled + g_asked_to_end;
}

}  // namespace vxmesh::cli
