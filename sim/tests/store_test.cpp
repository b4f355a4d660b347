// The store of the fake API server: results, resourceVersions, pages, events, compaction.
#include "sim/kube/store.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace vxmesh {
namespace {

using IntStore = Store<int>;
using Contents = std::map<std::string, int>;

Contents contents_of(const std::vector<IntStore::ObjectPtr>& objects) {
  Contents contents;
  for (const auto& object : objects) {
    contents.emplace(object->name, *object->payload);
  }
  return contents;
}

// Every page of a list; `between` runs after each but the last.
std::vector<IntStore::ObjectPtr> all_pages(const IntStore& store, std::uint32_t limit,
                                           const std::function<void()>& between) {
  std::vector<IntStore::ObjectPtr> objects;
  std::string token;
  do {
    const auto page = store.list(limit, token);
    RC_ASSERT(page.has_value());
    RC_ASSERT(page->objects.size() <= limit);
    RC_ASSERT(page->continue_token.empty() == (store.remaining(*page) == 0));
    objects.insert(objects.end(), page->objects.begin(), page->objects.end());
    token = page->continue_token;
    if (!token.empty()) {
      between();
    }
  } while (!token.empty());
  return objects;
}

// Brings `contents`, which is the state at `seen`, up to date.
void follow(const IntStore& store, const ResourceVersion& seen, Contents& contents) {
  const auto events = store.events_since(seen);
  RC_ASSERT(events.has_value());
  for (const IntStore::Event& event : *events) {
    const std::string& name = event.object->name;
    if (event.type == WatchEventType::Deleted) {
      RC_ASSERT(contents.erase(name) == 1U);
    } else {
      const bool added = contents.insert_or_assign(name, *event.object->payload).second;
      RC_ASSERT(added == (event.type == WatchEventType::Added));
    }
  }
}

// One random change; most of them succeed, all of them agree with the model.
void change(IntStore& store, Contents& model) {
  const std::string name = "n" + std::to_string(*rc::gen::inRange(0, 6));
  const int value = *rc::gen::inRange(0, 3);
  const bool there = model.contains(name);
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      RC_ASSERT(store.create(name, value).has_value() == !there);
      model.emplace(name, value);
      break;
    case 1:
      RC_ASSERT(store.update(name, value).has_value() == there);
      if (there) {
        model[name] = value;
      }
      break;
    case 2:
      RC_ASSERT(store.remove(name).has_value() == there);
      model.erase(name);
      break;
    default: store.advance();
  }
}

TEST(Store, WritesAnswerLikeTheRealServer) {
  IntStore store;
  EXPECT_EQ(store.update("a", 1).error(), StoreError::NotFound);
  EXPECT_EQ(store.remove("a").error(), StoreError::NotFound);
  EXPECT_EQ(store.get("a").error(), StoreError::NotFound);

  const auto created = store.create("a", 1);
  ASSERT_TRUE(created);
  EXPECT_EQ((*created)->resource_version, "2");  // the empty store is 1, for 0 means any
  EXPECT_EQ(store.create("a", 1).error(), StoreError::AlreadyExists);

  EXPECT_EQ(store.update("a", 2, "1").error(), StoreError::Conflict);
  EXPECT_EQ(store.remove("a", "1").error(), StoreError::Conflict);
  EXPECT_EQ(*(*store.get("a"))->payload, 1);

  const auto updated = store.update("a", 2, "2");
  ASSERT_TRUE(updated);
  EXPECT_EQ((*updated)->resource_version, "3");
  EXPECT_EQ(*(*updated)->payload, 2);

  const auto removed = store.remove("a", "3");
  ASSERT_TRUE(removed);
  EXPECT_EQ((*removed)->resource_version, "4");
  EXPECT_EQ(*(*removed)->payload, 2);
  EXPECT_EQ(store.resource_version(), "4");
}

TEST(Store, AnUpdateThatChangesNothingIsNotStored) {
  IntStore store;
  const auto created = store.create("a", 1);
  const auto same = store.update("a", 1);
  ASSERT_TRUE(same);
  EXPECT_EQ(*same, *created);
  EXPECT_EQ(store.resource_version(), "2");
  EXPECT_TRUE(store.events_since("2")->empty());
}

TEST(Store, EventsCarryTheRevisionToGoOnFrom) {
  IntStore store;
  ASSERT_TRUE(store.create("a", 1));
  ASSERT_TRUE(store.update("a", 2));
  ASSERT_TRUE(store.remove("a"));
  const auto events = store.events_since("1");
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 3U);
  EXPECT_EQ((*events)[0].type, WatchEventType::Added);
  EXPECT_EQ((*events)[1].type, WatchEventType::Modified);
  EXPECT_EQ((*events)[2].type, WatchEventType::Deleted);
  EXPECT_EQ(*(*events)[2].object->payload, 2);
  EXPECT_EQ((*events)[2].object->resource_version, "4");

  const auto first = store.events_since("1", 1);
  ASSERT_EQ(first->size(), 1U);
  EXPECT_EQ(store.events_since(first->back().object->resource_version)->size(), 2U);
}

TEST(Store, RevisionsOutsideTheHistoryAreRefused) {
  IntStore store;
  ASSERT_TRUE(store.create("a", 1));
  ASSERT_TRUE(store.create("b", 1));
  EXPECT_EQ(store.events_since("4").error(), StoreError::ResourceVersionTooLarge);
  EXPECT_EQ(store.list(1, "", "4").error(), StoreError::ResourceVersionTooLarge);
  for (const char* text : {"", "x", "-1", "01", "1 ", "99999999999999999999"}) {
    EXPECT_EQ(store.events_since(text).error(), StoreError::BadRequest) << text;
  }
  for (const char* token : {"1", "x:a", "3:", ":a", "9:a"}) {
    EXPECT_EQ(store.list(1, token).error(), StoreError::BadRequest) << token;
  }
  const std::string token = store.list(1)->continue_token;
  EXPECT_EQ(store.list(1, token, "2").error(), StoreError::BadRequest);

  store.advance();
  store.compact();
  EXPECT_EQ(store.list(1, token).error(), StoreError::Expired);
  EXPECT_EQ(store.events_since("3").error(), StoreError::Expired);
  EXPECT_TRUE(store.events_since("4")->empty());
  // "Not older than" is satisfied by what there is now, compacted or not.
  EXPECT_EQ(store.list(0, "", "2")->objects.size(), 2U);
}

TEST(Store, AStoreFromABackupKnowsNoLaterRevision) {
  const IntStore restored(/*first_revision=*/5);
  EXPECT_EQ(restored.resource_version(), "5");
  EXPECT_EQ(restored.events_since("9").error(), StoreError::ResourceVersionTooLarge);
  EXPECT_EQ(restored.events_since("4").error(), StoreError::Expired);
}

TEST(Store, SubscribersHearOfEveryChangeUntilTheyLeave) {
  IntStore store;
  int heard = 0;
  auto subscription = store.subscribe([&] { ++heard; });
  ASSERT_TRUE(store.create("a", 1));
  ASSERT_TRUE(store.update("a", 1));  // changes nothing
  ASSERT_TRUE(store.remove("a"));
  store.advance();
  EXPECT_EQ(heard, 3);
  subscription.reset();
  ASSERT_TRUE(store.create("a", 1));
  EXPECT_EQ(heard, 3);
}

TEST(Store, EveryErrorHasAStatus) {
  EXPECT_EQ(status_of(StoreError::Expired).code, 410);
  EXPECT_EQ(status_of(StoreError::Expired).reason, "Expired");
  EXPECT_EQ(status_of(StoreError::ResourceVersionTooLarge).code, 504);
  EXPECT_EQ(status_of(StoreError::AlreadyExists).code, 409);
  EXPECT_EQ(status_of(StoreError::Conflict).code, 409);
  EXPECT_EQ(status_of(StoreError::NotFound).code, 404);
  EXPECT_EQ(status_of(StoreError::BadRequest).code, 400);
}

RC_GTEST_PROP(StoreProperties, AListIsTheModel, ()) {
  IntStore store;
  Contents model;
  for (int steps = *rc::gen::inRange(0, 40); steps > 0; --steps) {
    change(store, model);
    if (*rc::gen::inRange(0, 10) == 0) {
      store.compact();
    }
  }
  RC_ASSERT(contents_of(store.list(0)->objects) == model);
}

RC_GTEST_PROP(StoreProperties, PagesAreOneStateWhateverChangesBetweenThem, ()) {
  IntStore store;
  Contents model;
  for (int steps = *rc::gen::inRange(0, 20); steps > 0; --steps) {
    change(store, model);
  }
  const Contents before = model;
  const auto limit = *rc::gen::inRange<std::uint32_t>(1, 4);
  const auto objects = all_pages(store, limit, [&] {
    change(store, model);
    change(store, model);
  });
  RC_ASSERT(contents_of(objects) == before);
  RC_ASSERT(objects.size() == before.size());
}

RC_GTEST_PROP(StoreProperties, AListAndTheEventsSinceItAreTheStore, ()) {
  IntStore store;
  Contents model;
  for (int steps = *rc::gen::inRange(0, 20); steps > 0; --steps) {
    change(store, model);
  }
  store.compact();
  const auto list = store.list(0);
  Contents followed = contents_of(list->objects);
  ResourceVersion seen = list->resource_version;
  for (int steps = *rc::gen::inRange(0, 20); steps > 0; --steps) {
    change(store, model);
    if (*rc::gen::inRange(0, 3) == 0) {
      follow(store, seen, followed);
      seen = store.resource_version();
      store.compact();  // does not overtake a reader that is up to date
    }
  }
  follow(store, seen, followed);
  RC_ASSERT(followed == model);
}

}  // namespace
}  // namespace vxmesh
