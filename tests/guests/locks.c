/* locks: see turns.h; it can lock. */
#define LOCKS
#include "turns.h"
