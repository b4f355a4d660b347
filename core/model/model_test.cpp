#include <gtest/gtest.h>
#include "base/backoff.h"
TEST(Placeholder, X) {}
