// SPDX-License-Identifier: MIT
//
// Shapes, buffers and arenas.
#include "engine/buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <type_traits>

#include "tests/engine/device_fixture.h"

// AddressSanitizer asks for this: too large a request is to give null, as it does without the sanitizer.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }

namespace gemel {
namespace {

static_assert(!std::is_copy_constructible_v<Buffer> && !std::is_copy_assignable_v<Buffer>);

TEST(Shape, CountsAndSpells) {
  const Shape image{31, 33, 3};
  EXPECT_EQ(image.rank(), 3);
  EXPECT_EQ(image[1], 33);
  EXPECT_EQ(image.count(), 31u * 33 * 3);
  EXPECT_EQ(image.str(), "31x33x3");
  EXPECT_EQ(Shape().str(), "scalar");
  EXPECT_EQ(Shape().count(), 1u);
  EXPECT_EQ(image, (Shape{31, 33, 3}));
  EXPECT_NE(image, (Shape{31, 33, 3, 1}));
  EXPECT_EQ((Shape{65536, 65536, 7}).count(), std::size_t{65536} * 65536 * 7);
}

TEST(Shape, RefusesWhatCannotBe) {
  EXPECT_NE(message_of<ShapeError>([] { Shape{3, 0, 1}; }).find("3x0x1"), std::string::npos);
  message_of<ShapeError>([] { Shape{-1}; });
  message_of<ShapeError>([] { Shape{1, 2, 3, 4, 5, 6, 7}; });
  constexpr int kMost = std::numeric_limits<int>::max();
  message_of<ShapeError>([] { Shape{kMost, kMost, kMost, kMost}; });
}

class BufferTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, BufferTest, testing::ValuesIn(test_devices()), device_test_name);

TEST_P(BufferTest, IsAlignedAndHoldsWhatItIsGiven) {
  for (std::size_t count : {1, 31, 33, 1009}) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) + 0.5f;
    const Buffer buffer = uploaded(values);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 256, 0u);
    EXPECT_EQ(downloaded(buffer.f32(), count), values);
  }
}

TEST_P(BufferTest, MovesLeaveOneOwner) {
  const Counters& counters = device_->counters();
  {
    Buffer a(*device_, 100);
    void* memory = a.data();
    Buffer b(std::move(a));
    EXPECT_EQ(a.data(), nullptr);
    EXPECT_EQ(a.bytes(), 0u);
    EXPECT_EQ(b.data(), memory);
    EXPECT_EQ(b.bytes(), 100u);
    Buffer c(*device_, 7);
    c = std::move(b);
    EXPECT_EQ(counters.frees, 1u);  // c's first memory
    EXPECT_EQ(c.data(), memory);
    Buffer& same = c;
    c = std::move(same);
    EXPECT_EQ(c.data(), memory);
    EXPECT_EQ(counters.frees, 1u);
  }
  EXPECT_EQ(counters.allocations, 2u);
  EXPECT_EQ(counters.frees, 2u);
}

TEST_P(BufferTest, NothingIsNoAllocation) {
  {
    const Buffer empty(*device_, 0);
    EXPECT_EQ(empty.data(), nullptr);
  }
  EXPECT_EQ(device_->counters().allocations, 0u);
  EXPECT_EQ(device_->counters().frees, 0u);
}

TEST_P(BufferTest, ShortMemoryIsAnErrorWithTheSize) {
  constexpr std::size_t kTooMuch = std::size_t{1} << 60;
  const std::string message = message_of<DeviceError>([&] { Buffer(*device_, kTooMuch); });
  EXPECT_NE(message.find(std::to_string(kTooMuch)), std::string::npos) << message;
  const Buffer afterwards(*device_, 8);
  EXPECT_NE(afterwards.data(), nullptr);
}

class ArenaTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ArenaTest, testing::ValuesIn(test_devices()), device_test_name);

TEST_P(ArenaTest, PiecesAreAlignedAndApartInOneAllocation) {
  Arena arena;
  std::vector<Arena::Piece> pieces;
  for (std::size_t bytes : {1, 255, 256, 257, 4, 1009}) pieces.push_back(arena.plan(bytes));
  const Arena::Piece none = arena.plan(0);
  EXPECT_EQ(arena.bytes(), 256u + 256 + 256 + 512 + 256 + 1024);
  arena.allocate(*device_);
  EXPECT_EQ(device_->counters().allocations, 1u);
  EXPECT_EQ(arena.data(none), nullptr);
  const auto* start = static_cast<std::byte*>(arena.data(pieces[0]));
  const std::byte* free = start;
  for (const Arena::Piece& piece : pieces) {
    const auto* data = static_cast<std::byte*>(arena.data(piece));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 256, 0u);
    EXPECT_GE(data, free);
    free = data + piece.bytes;
    EXPECT_LE(free, start + arena.bytes());
  }
}

TEST_P(ArenaTest, OrderOfUseIsChecked) {
  Arena arena;
  const Arena::Piece piece = arena.plan(8);
  message_of<Error>([&] { arena.data(piece); });
  message_of<DeviceError>([&] { arena.plan(std::numeric_limits<std::size_t>::max() - 100); });
  arena.allocate(*device_);
  message_of<Error>([&] { arena.plan(8); });
  message_of<Error>([&] { arena.allocate(*device_); });
}

}  // namespace
}  // namespace gemel
