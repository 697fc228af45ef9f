// SPDX-License-Identifier: MIT
#include "kernels/simt/check/source.h"

#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>

extern char** environ;

namespace gemel::instrument {
namespace {

struct Program {
  std::uintptr_t base = 0, begin = ~std::uintptr_t{0}, end = 0;
};

// The first object the loader names is the program itself.
const Program& program() {
  static const Program found = [] {
    Program p;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* out) {
          auto& p = *static_cast<Program*>(out);
          p.base = info->dlpi_addr;
          for (int i = 0; i < info->dlpi_phnum; ++i) {
            const auto& segment = info->dlpi_phdr[i];
            if (segment.p_type != PT_LOAD) continue;
            p.begin = std::min<std::uintptr_t>(p.begin, p.base + segment.p_vaddr);
            p.end = std::max<std::uintptr_t>(p.end, p.base + segment.p_vaddr + segment.p_memsz);
          }
          return 1;
        },
        &p);
    return p;
  }();
  return found;
}

std::map<std::uint32_t, Source>& known() {
  static std::map<std::uint32_t, Source> lines;
  return lines;
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// Runs addr2line with `input` as its standard input and `output` as its standard output; false: there is none.
bool run_addr2line(std::FILE* input, std::FILE* output) {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length <= 0) return false;
  path[length] = '\0';
  char name[] = "addr2line", inlines[] = "-i", addresses[] = "-a", of[] = "-e";
  char* arguments[] = {name, addresses, inlines, of, path, nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(input), 0);
  posix_spawn_file_actions_adddup2(&actions, fileno(output), 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, name, &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return false;
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool is_portable_layer(const std::string& file) {
  for (const char* part : {"kernels/simt/host_", "kernels/simt/executor.h", "kernels/simt/mma.h", "/include/c++/"}) {
    if (file.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

std::uint32_t code_address(const void* return_address) {
  const auto address = reinterpret_cast<std::uintptr_t>(return_address);
  const Program& p = program();
  return address > p.begin && address < p.end ? static_cast<std::uint32_t>(address - p.base) : 0;
}

std::string in_tree(const std::string& named) {
  // Compiled through a relative path, a file is "TREE/build/../kernels/...", or "../kernels/..." from the build folder.
  std::string path = std::filesystem::path(named).lexically_normal().string();
  while (path.compare(0, 3, "../") == 0) path.erase(0, 3);
  const std::size_t root = std::strlen(tree_root());
  return path.compare(0, root, tree_root()) == 0 && path.size() > root + 1 ? path.substr(root + 1) : path;
}

const char* tree_root() { return GEMEL_TREE; }

std::string source_text(const std::string& file) {
  std::ifstream in(std::filesystem::path(tree_root()) / file);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Source source_of(std::uint32_t address) {
  const auto line = known().find(address);
  return line == known().end() ? Source{} : line->second;
}

void look_up(const std::vector<std::uint32_t>& addresses) {
  const File input(std::tmpfile()), output(std::tmpfile());
  if (!input || !output) return;
  bool any = false;
  for (const std::uint32_t address : addresses) {
    if (!known().try_emplace(address).second) continue;
    any = true;
    std::fprintf(input.get(), "0x%x\n", address - 1);  // the call, not what follows it
  }
  std::fflush(input.get());
  std::rewind(input.get());
  if (!any || !run_addr2line(input.get(), output.get())) return;

  // An address by itself, then the line there and those it was inlined into, innermost first: "/a/b.h:12 (discriminator 3)".
  std::rewind(output.get());
  std::uint32_t address = 0;
  char text[8192];
  while (std::fgets(text, sizeof text, output.get()) != nullptr) {
    std::string line(text, std::strcspn(text, "\n"));
    if (line.compare(0, 2, "0x") == 0) {
      address = static_cast<std::uint32_t>(std::stoull(line, nullptr, 16)) + 1;
      continue;
    }
    line.erase(std::min(line.find(" (discriminator"), line.size()));
    const std::size_t colon = line.rfind(':');
    if (colon == std::string::npos || line.front() == '?') continue;
    Source& source = known()[address];
    if (!source.file.empty() && !is_portable_layer(source.file)) continue;
    source = {in_tree(line.substr(0, colon)), std::atoi(line.c_str() + colon + 1)};
  }
}

}  // namespace gemel::instrument
