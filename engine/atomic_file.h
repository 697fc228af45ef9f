// SPDX-License-Identifier: MIT
//
// AtomicFile: a file that appears whole, or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace gemel {

// Writes a temporary file in the same folder; commit() flushes it to the disk and renames it over `file`. Without
// commit(), and after a full disk or a crash, the old file is as it was. A link is followed: what it points at is
// replaced. Throws InputError naming the file and the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& file);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, std::size_t bytes);
  void commit();

 private:
  [[noreturn]] void fail(int error) const;
  std::filesystem::path named_, target_, temporary_;  // as the caller named it; its links followed; beside it
  int descriptor_ = -1;
};

}  // namespace gemel
