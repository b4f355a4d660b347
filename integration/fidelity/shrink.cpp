#include "integration/fidelity/shrink.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "sim/kernel/field_text.h"

namespace vxmesh::fidelity {
namespace {

// What one step can be made of instead: simpler ones, the simplest first.
template <typename Fields>
std::vector<Fields> simpler(const Fields& request) {
  std::vector<Fields> variants;
  std::size_t count = 0;
  Fields::fields(request, [&](std::string_view /*name*/, const auto& /*member*/) { ++count; });
  for (std::size_t wanted = 0; wanted < count; ++wanted) {
    std::size_t place = 0;
    std::vector<Fields> of_field;
    Fields changed = request;
    Fields::fields(changed, [&](std::string_view name, auto& member) {
      if (place++ != wanted) {
        return;
      }
      using Member = std::decay_t<decltype(member)>;
      if constexpr (rtnl::IsOptional<Member>::value) {
        if (member) {
          member.reset();
          of_field.push_back(changed);
        }
      } else if constexpr (std::is_integral_v<Member>) {
        // A bit less; zero is no bit at all. Not of lengths, which are no bits.
        const bool has_bits =
            name == "flags" || name == "ntf" || name == "state" || name == "route_flags";
        const Member all = member;
        if (all != Member{} && name != "length") {
          member = Member{};
          of_field.push_back(changed);
        }
        for (unsigned bit = 0; has_bits && bit < 8 * sizeof(Member); ++bit) {
          const auto mask = static_cast<Member>(std::uint64_t{1} << bit);
          if ((all & mask) != 0 && all != mask) {
            member = static_cast<Member>(all & static_cast<Member>(~mask));
            of_field.push_back(changed);
          }
        }
      }
    });
    std::move(of_field.begin(), of_field.end(), std::back_inserter(variants));
  }
  return variants;
}

std::vector<rtnl::Request> simpler_requests(const rtnl::Request& request) {
  return std::visit(
      [](const auto& fields) {
        const auto variants = simpler(fields);
        return std::vector<rtnl::Request>(variants.begin(), variants.end());
      },
      request);
}

// With a request less, of two the other alone; then with one of them simpler.
std::vector<Action> simpler_batches(const Batch& batch) {
  std::vector<Action> actions;
  for (std::size_t i = 0; i < batch.requests.size(); ++i) {
    Batch less = batch;
    less.requests.erase(less.requests.begin() + static_cast<std::ptrdiff_t>(i));
    actions.push_back(less.requests.size() == 1 ? Action(less.requests.front()) : Action(less));
  }
  for (std::size_t i = 0; i < batch.requests.size(); ++i) {
    for (const rtnl::Request& variant : simpler_requests(batch.requests[i])) {
      Batch other = batch;
      other.requests[i] = variant;
      actions.emplace_back(std::move(other));
    }
  }
  return actions;
}

std::vector<Action> simpler_actions(const Action& action) {
  if (const auto* batch = std::get_if<Batch>(&action)) {
    return simpler_batches(*batch);
  }
  std::vector<Action> actions;
  if (const auto* request = std::get_if<rtnl::Request>(&action)) {
    for (const rtnl::Request& variant : simpler_requests(*request)) {
      actions.emplace_back(variant);
    }
  }
  return actions;
}

// How many devices the step makes, if it succeeds.
std::uint32_t devices_made(const Step& step) {
  const auto* request = std::get_if<rtnl::Request>(&step.action);
  const auto* link = request != nullptr ? std::get_if<rtnl::NewLink>(request) : nullptr;
  if (link == nullptr || !link->kind || (link->flags & rtnl::kCreate) == 0) {
    return 0;
  }
  return *link->kind == rtnl::Kind::Veth ? 2 : 1;
}

// Names the devices from `first` on by an index that is `less` smaller.
template <typename Fields>
void renumber(Fields& fields, IfIndex first, std::uint32_t less) {
  const auto change = [&](IfIndex& device) { device.value -= device >= first ? less : 0; };
  Fields::fields(fields, [&](std::string_view /*name*/, auto& member) {
    using Member = std::decay_t<decltype(member)>;
    if constexpr (std::is_same_v<Member, IfIndex>) {
      change(member);
    } else if constexpr (std::is_same_v<Member, std::optional<IfIndex>>) {
      if (member) {
        change(*member);
      }
    }
  });
}

void renumber(rtnl::Request& request, IfIndex first, std::uint32_t less) {
  std::visit([&](auto& fields) { renumber(fields, first, less); }, request);
}

void renumber(Batch& batch, IfIndex first, std::uint32_t less) {
  for (rtnl::Request& request : batch.requests) {
    renumber(request, first, less);
  }
}

// The program without a step that makes devices. Indices are given one after the other, so the
// devices of later steps get smaller ones.
Program without_devices_of(std::size_t place, const Program& program) {
  constexpr IfIndex kFirstMade{2};
  IfIndex first = kFirstMade;
  for (std::size_t i = 0; i < place; ++i) {
    first.value += devices_made(program[i]);
  }
  const std::uint32_t less = devices_made(program[place]);
  first.value += less;
  Program others = program;
  others.erase(others.begin() + static_cast<std::ptrdiff_t>(place));
  for (Step& step : others) {
    std::visit([&](auto& fields) { renumber(fields, first, less); }, step.action);
  }
  return others;
}

class Shrinker {
 public:
  Shrinker(Shrunk start, const Trial& trial, std::size_t most_trials)
      : best_(std::move(start)),
        signature_(best_.gap.signature),
        trial_(trial),
        most_trials_(most_trials) {}

  Shrunk run() {
    best_.program.resize(best_.gap.step + 1);
    drop_steps();
    drop_devices();
    std::size_t before = 0;
    do {
      before = best_.program.size();
      simplify();
      drop_steps();
      drop_devices();
    } while (best_.program.size() < before);
    return std::move(best_);
  }

 private:
  // Takes the program if it shows the gap; nothing behind the gap matters.
  bool accept(Program candidate) {
    if (best_.trials >= most_trials_) {
      return false;
    }
    ++best_.trials;
    std::optional<Gap> gap = trial_(candidate);
    if (!gap || gap->signature != signature_) {
      return false;
    }
    candidate.resize(gap->step + 1);
    best_.program = std::move(candidate);
    best_.gap = *std::move(gap);
    return true;
  }

  // ddmin (Zeller and Hildebrandt, 2002) without its subsets: chunks of half the size each round.
  void drop_steps() {
    for (std::size_t chunk = std::max<std::size_t>(best_.program.size() / 2, 1); chunk > 0;
         chunk /= 2) {
      std::size_t end = best_.program.size() - 1;  // the last step shows the gap
      while (end > 0) {
        const std::size_t start = end > chunk ? end - chunk : 0;
        Program candidate = best_.program;
        candidate.erase(candidate.begin() + static_cast<std::ptrdiff_t>(start),
                        candidate.begin() + static_cast<std::ptrdiff_t>(end));
        accept(std::move(candidate));
        end = std::min(start, best_.program.size() - 1);
      }
    }
  }

  void drop_devices() {
    for (std::size_t i = best_.program.size() - 1; i-- > 0;) {
      if (i + 1 < best_.program.size() && devices_made(best_.program[i]) > 0) {
        accept(without_devices_of(i, best_.program));
      }
    }
  }

  void simplify() {
    for (std::size_t i = 0; i < best_.program.size(); ++i) {
      if (best_.program[i].writer != Writer::First) {
        Program candidate = best_.program;
        candidate[i].writer = Writer::First;
        accept(std::move(candidate));
      }
      simplify_action(i);
    }
  }

  void simplify_action(std::size_t place) {
    bool again = true;
    while (again) {
      again = false;
      const std::size_t size = best_.program.size();
      for (const Action& action : simpler_actions(best_.program[place].action)) {
        Program candidate = best_.program;
        candidate[place].action = action;
        if (accept(std::move(candidate))) {
          again = best_.program.size() == size;
          break;
        }
      }
      if (best_.program.size() != size) {
        return;
      }
    }
  }

  Shrunk best_;
  std::string signature_;
  const Trial& trial_;
  std::size_t most_trials_;
};

}  // namespace

Shrunk shrink(const Program& program, const Gap& gap, const Trial& trial, std::size_t most_trials) {
  return Shrinker({.program = program, .gap = gap, .trials = 0}, trial, most_trials).run();
}

}  // namespace vxmesh::fidelity
