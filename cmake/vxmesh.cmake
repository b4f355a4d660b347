# Build rules that every layer shares: strict warnings, one library per folder, test programs by
# suite.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

option(VXMESH_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
set(VXMESH_COVERAGE "" CACHE STRING
  "Layers of which executed lines are counted, for gcov; they are not optimised (g++ only)")
option(VXMESH_QUICK "Leave out whole clusters, and tests marked SLOW (minutes with sanitizers)" OFF)
option(VXMESH_WITH_HTTP "Build what includes Boost.Beast (minutes with sanitizers)" ON)

add_library(vxmesh_options INTERFACE)
target_compile_options(vxmesh_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wnon-virtual-dtor
  -Woverloaded-virtual -Wnull-dereference -Werror
  # A designated initialiser names what differs from the default; the rest is meant to be it.
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 reports false positives of these three inside libstdc++ and inlined std::variant code.
  target_compile_options(vxmesh_options INTERFACE
    -Wno-null-dereference -Wno-restrict -Wno-maybe-uninitialized)
endif()
if(VXMESH_SANITIZE)
  target_compile_options(vxmesh_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(vxmesh_options INTERFACE -fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Shifts that g++ instruments look like conversions from int; the release build still checks.
    target_compile_options(vxmesh_options INTERFACE -Wno-sign-conversion)
  endif()
endif()

# vxmesh_library(NAME SOURCES file... LINK target...): one layer, as a static library vxmesh_NAME.
# Core layers include each other as "layer/file.h"; everything else by its path from the root.
function(vxmesh_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(vxmesh_${name} STATIC ${ARG_SOURCES})
  target_include_directories(vxmesh_${name} PUBLIC
    ${PROJECT_SOURCE_DIR}/core ${PROJECT_SOURCE_DIR})
  target_link_libraries(vxmesh_${name}
    PUBLIC ${ARG_LINK}
    PRIVATE vxmesh_options ${ARG_PRIVATE_LINK})
  if(name IN_LIST VXMESH_COVERAGE)
    target_compile_options(vxmesh_${name} PRIVATE -O0 --coverage)
    target_link_options(vxmesh_${name} INTERFACE --coverage)
  endif()
endfunction()

# vxmesh_test(NAME SUITE suite SOURCES file... LINK target...): a GoogleTest program, registered
# with ctest under the label SUITE, the name that ci/test knows it by. SLOW: not with VXMESH_QUICK.
function(vxmesh_test name)
  cmake_parse_arguments(ARG "SLOW" "SUITE" "SOURCES;LINK" ${ARGN})
  if(ARG_SLOW AND VXMESH_QUICK)
    return()
  endif()
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE
    vxmesh_options ${ARG_LINK}
    rapidcheck GTest::gmock GTest::gtest GTest::gtest_main Threads::Threads)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/core ${PROJECT_SOURCE_DIR})
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_SUITE} TIMEOUT 300)
endfunction()
