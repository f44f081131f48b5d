/* SPDX-License-Identifier: MIT */
/* A ring of io_uring without liburing, which 32-bit programs don't have: one command at a time. */
#ifndef RAW_RING_H
#define RAW_RING_H

#include "util.h"
#include <libchan-uring.h>

#define RAW_ENTRIES	8	/* a power of two, as the kernel rounds it up */

struct raw_ring {
	int fd;
	struct io_uring_sqe *sqes;
	unsigned *sq_tail, *sq_array, *cq_head, *cq_tail, sq_mask, cq_mask;
	struct io_uring_cqe *cqes;
	void *mem;
	size_t size;
};

static inline bool raw_open(struct raw_ring *r)
{
	struct io_uring_params p = { .flags = 0 };
	size_t sq, cq;
	char *m;

	r->fd = syscall(SYS_io_uring_setup, RAW_ENTRIES, &p);
	if (r->fd < 0)
		return false;
	sq = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	r->size = sq > cq ? sq : cq;
	r->mem = m = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
			  IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		       MAP_SHARED, r->fd, IORING_OFF_SQES);
	if (m == MAP_FAILED || r->sqes == MAP_FAILED || !(p.features & IORING_FEAT_SINGLE_MMAP))
		return false;
	r->sq_tail = (unsigned *)(m + p.sq_off.tail);
	r->sq_array = (unsigned *)(m + p.sq_off.array);
	r->sq_mask = *(unsigned *)(m + p.sq_off.ring_mask);
	r->cq_head = (unsigned *)(m + p.cq_off.head);
	r->cq_tail = (unsigned *)(m + p.cq_off.tail);
	r->cq_mask = *(unsigned *)(m + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(m + p.cq_off.cqes);
	return true;
}

/* Each mapping keeps the ring, too. */
static inline void raw_close(struct raw_ring *r)
{
	munmap(r->sqes, RAW_ENTRIES * sizeof(*r->sqes));
	munmap(r->mem, r->size);
	close(r->fd);
}

/* The entry that raw_submit() submits. */
static inline struct io_uring_sqe *raw_sqe(struct raw_ring *r)
{
	return &r->sqes[*r->sq_tail & r->sq_mask];
}

static inline bool raw_submit(struct raw_ring *r)
{
	unsigned tail = *r->sq_tail;

	r->sq_array[tail & r->sq_mask] = tail & r->sq_mask;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0) == 1;
}

/* The result of the next command that completes; -9999 if none does. */
static inline int raw_result(struct raw_ring *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	for (int ms = 0; ms < PATIENCE; ms += 100) {
		unsigned head = *r->cq_head;

		if (head != __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE)) {
			int res = r->cqes[head & r->cq_mask].res;

			__atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
			return res;
		}
		poll(&p, 1, 100);
		syscall(SYS_io_uring_enter, r->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	}
	return -9999;
}

#endif
