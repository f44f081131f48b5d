// SPDX-License-Identifier: MIT
/* The pool in GLib's main loop. */
#include <glib-unix.h>

#include "pool.h"

static GMainLoop *loop;
static struct pool p;

static gboolean on_idle(gint fd, GIOCondition what, gpointer arg)
{
	(void)fd, (void)what, (void)arg;
	pool_idle(&p);
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static gboolean on_end(gint fd, GIOCondition what, gpointer arg)
{
	(void)what, (void)arg;
	pool_ended(&p);
	g_unix_fd_add(fd, G_IO_OUT, on_idle, NULL);
	return G_SOURCE_REMOVE;
}

static gboolean on_timer(gpointer arg)
{
	(void)arg;
	pool_stop(&p);
	return G_SOURCE_REMOVE;
}

static gboolean on_client(gint fd, GIOCondition what, gpointer arg)
{
	(void)fd, (void)what, (void)arg;
	pool_answer(&p);
	g_unix_fd_add(p.group, G_IO_IN, on_end, NULL);
	g_timeout_add(20, on_timer, NULL);
	return G_SOURCE_REMOVE;
}

static gboolean on_result(gint fd, GIOCondition what, gpointer arg)
{
	(void)fd, (void)what, (void)arg;
	if (!pool_collect(&p))
		return G_SOURCE_CONTINUE;
	g_unix_fd_add(p.listener, G_IO_IN, on_client, NULL);
	return G_SOURCE_REMOVE;
}

static gboolean on_room(gint fd, GIOCondition what, gpointer arg)
{
	(void)fd, (void)what, (void)arg;
	return pool_feed(&p) ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

int main(void)
{
	pool_start(&p);
	loop = g_main_loop_new(NULL, FALSE);
	g_unix_fd_add(p.jobs, G_IO_OUT, on_room, NULL);
	g_unix_fd_add(p.results, G_IO_IN, on_result, NULL);
	g_main_loop_run(loop);
	return 0;
}
