/* turns: see turns.h. */
#include "turns.h"
