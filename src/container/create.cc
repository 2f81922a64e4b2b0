#include "container/api.h"
#include "container/start_sequence.h"

namespace caisson::container {

Result<CreateResult> create(Context& context, const CreateOptions& options) {
  Start start(context, options);
  TRY(run_start_sequence(start));
  return CreateResult{start.container.state.init.pid, std::move(start.container.init)};
}

}  // namespace caisson::container
