/* SPDX-License-Identifier: MIT */
/* Boost's message_queue as a transport. It is in shared memory, and survives a fork. */
#include "boost.h"
#include "../peer.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

using boost::interprocess::message_queue;

static message_queue *queue(struct line *l)
{
	return static_cast<message_queue *>(l->own);
}

bool boost_open(struct line *l)
try {
	char name[40];

	snprintf(name, sizeof(name), "kchan-bench-%d", getpid());
	l->own = new message_queue(boost::interprocess::create_only, name, l->capacity, l->size);
	message_queue::remove(name);
	return true;
} catch (const boost::interprocess::interprocess_exception &e) {
	errno = e.get_native_error();
	return false;
}

void boost_close(struct line *l)
{
	delete queue(l);
}

void boost_send(struct line *l, const void *msg)
{
	queue(l)->send(msg, l->size, 0);
}

void boost_recv(struct line *l, void *msg)
{
	message_queue::size_type size;
	unsigned priority;

	queue(l)->receive(msg, l->size, size, priority);
	if (size != l->size) {
		fprintf(stderr, "boost: %zu of %zu bytes\n", (size_t)size, l->size);
		exit(1);
	}
}
