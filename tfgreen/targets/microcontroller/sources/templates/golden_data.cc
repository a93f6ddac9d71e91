// Rendered by tfgreen.
#include "golden_data.h"

#include <math.h>

namespace @ID@ {

@GOLDEN_ARRAYS@

}  // namespace @ID@
