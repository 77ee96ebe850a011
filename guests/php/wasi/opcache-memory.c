/* Where opcache keeps compiled scripts: one segment of ordinary memory, which becomes part of a snapshot. */
#include <stdlib.h>

#include "zend_shared_alloc.h"

static int create_segments(size_t size, zend_shared_segment ***segments, int *count, const char **failed)
{
	zend_shared_segment **list = calloc(1, sizeof(*list) + sizeof(**list));
	if (!list) {
		*failed = "calloc";
		return ALLOC_FAILURE;
	}
	zend_shared_segment *segment = (zend_shared_segment *) (list + 1);
	segment->p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (segment->p == MAP_FAILED) {
		free(list);
		*failed = "mmap";
		return ALLOC_FAILURE;
	}
	segment->size = size;
	list[0] = segment;
	*segments = list;
	*count = 1;
	return ALLOC_SUCCESS;
}

static int detach_segment(zend_shared_segment *segment)
{
	return 0;
}

static size_t segment_type_size(void)
{
	return sizeof(zend_shared_segment);
}

const zend_shared_memory_handlers zend_alloc_wasi_handlers = {
	(create_segments_t) create_segments,
	(detach_segment_t) detach_segment,
	segment_type_size,
};
