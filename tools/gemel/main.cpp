// SPDX-License-Identifier: MIT
//
// gemel: trains, evaluates and uses Siamese networks. One file a command; see command.h for the exit statuses.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "tools/gemel/command.h"

namespace {

constexpr int kError = 2;

// Errors are one line, whatever the exception's text holds.
int fail(std::string message) {
  while (!message.empty() && message.back() == '\n') message.pop_back();
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::cerr << "gemel: " << message << std::endl;
  return kError;
}

int run(int argc, char** argv) {
  CLI::App program("Trains, evaluates and uses Siamese networks, on CUDA kernels written by hand.", "gemel");
  program.require_subcommand(1);
  program.set_version_flag("--version", "gemel " GEMEL_VERSION);
  program.footer(
      "DATA is idx:DIR[:train|test] (the usual four MNIST file names, gzip or not), idx:IMAGES,LABELS, or a folder\n"
      "with one sub-folder an identity.\n"
      "\n"
      "Examples:\n"
      "  gemel train faces/ -o faces.safetensors --report report.html\n"
      "  gemel verify faces.safetensors a.png b.png && echo same\n"
      "  gemel eval faces.safetensors other_faces/\n"
      "  gemel enroll faces.safetensors people.gallery people/ && gemel identify faces.safetensors people.gallery "
      "new/\n"
      "\n"
      "gemel COMMAND --help tells a command's options.");
  gemel::cli::Action action;
  gemel::cli::add_train(program, action);
  gemel::cli::add_eval(program, action);
  gemel::cli::add_verify(program, action);
  gemel::cli::add_embed(program, action);
  gemel::cli::add_enroll(program, action);
  gemel::cli::add_identify(program, action);
  gemel::cli::add_search(program, action);
  gemel::cli::add_oneshot(program, action);
  gemel::cli::add_extract(program, action);
  gemel::cli::add_import(program, action);
  gemel::cli::add_info(program, action);
  gemel::cli::add_check(program, action);
#if defined(GEMEL_CHECK)
  gemel::cli::add_profile(program, action);
#endif
  gemel::cli::add_bench(program, action);
  gemel::cli::add_devices(program, action);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
    auto chosen = program.get_subcommands();
    std::string help = chosen.empty() ? "gemel --help" : "gemel " + chosen.front()->get_name() + " --help";
    return fail(std::string(error.what()) + "; see " + help);
  }
  int status = action();
  if (!std::cout.flush()) return fail("standard output: cannot write");
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    return fail("out of memory");
  } catch (const gemel::Error& error) {
    return fail(error.what());
  } catch (const std::exception& error) {
    return fail(std::string("unexpected error: ") + error.what());
  }
}
