/* SPDX-License-Identifier: MIT */
/* Boost's message_queue as a transport. See ../peer.h. */
#ifndef BENCH_BOOST_H
#define BENCH_BOOST_H

#ifdef __cplusplus
extern "C" {
#endif

struct line;

bool boost_open(struct line *l);
void boost_close(struct line *l);
void boost_send(struct line *l, const void *msg);
void boost_recv(struct line *l, void *msg);

#ifdef __cplusplus
}
#endif

#endif
