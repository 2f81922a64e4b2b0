#include "container/api.h"
#include "container/container.h"
#include "container/control.h"
#include "container/errors.h"

namespace caisson::container {

Result<> resize(Context& context, std::string_view id, int rows, int columns) {
  constexpr int kAnswerTimeoutMs = 2000;
  auto container = TRY(look_at(context, id));
  auto control = connect_control(container.folder);
  if (!control) {
    return std::unexpected(wrong_state(ENOTTY, "no supervisor of ours holds its terminal")
                               .doing("container ", quoted(id)));
  }
  ControlRequest request{ControlRequest::Op::kResize, rows, columns};
  auto answer = ask(*control, request, kAnswerTimeoutMs);
  if (!answer) return std::unexpected(std::move(answer).error().doing("container ", quoted(id)));
  return {};
}

}  // namespace caisson::container
