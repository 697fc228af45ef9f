// SPDX-License-Identifier: MIT
//
// gemel devices: what this build and this machine offer.
#include <iostream>

#include "tools/gemel/command.h"

namespace gemel::cli {

void add_devices(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("devices", "List the devices of this build and machine");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "for machines");
  command->footer("Example:\n  gemel devices");
  command->callback([json, &action] {
    action = [json] {
      Json list = Json::array();
      std::vector<std::vector<std::string>> rows;
      for (const DeviceReport& device : list_devices()) {
        list.push_back({{"name", device.name}, {"available", device.available}, {"description", device.description}});
        rows.push_back({device.name + (device.available ? "" : " (absent)"), device.description});
      }
      if (*json) {
        std::cout << dump(list) << "\n";
        return 0;
      }
      std::size_t width = 0;
      for (const auto& row : rows) width = std::max(width, row[0].size());
      for (const auto& row : rows) std::cout << row[0] << std::string(width - row[0].size() + 2, ' ') << row[1] << "\n";
      return 0;
    };
  });
}

}  // namespace gemel::cli
