/* SPDX-License-Identifier: MIT */
/* Two processes talk over a kernel channel; then one is killed. */
#include <errno.h>
#include <libchan.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	int end[2], err;
	char msg[64];
	ssize_t n;
	pid_t pid;

	err = chan_make(end, sizeof(msg), 0, 0);
	if (err) {
		fprintf(stderr, "chan_make: %s (is the module loaded?)\n", strerror(-err));
		return 1;
	}
	pid = fork();
	if (pid == 0) {		/* the sender: another process */
		const char *words[] = { "hello", "from", "another", "process" };

		close(end[0]);
		for (int i = 0; i < 4; i++)
			chan_send(end[1], words[i], strlen(words[i]), -1, CHAN_FOREVER);
		pause();	/* until it is killed */
		_exit(0);
	}
	close(end[1]);		/* the sender alone holds its end now */
	printf("a process receives what another sends over a channel:\n");
	for (int i = 0; i < 4; i++) {
		n = chan_recv(end[0], msg, sizeof(msg), -1, CHAN_FOREVER);
		printf("received: %.*s\n", (int)n, msg);
	}
	n = chan_recv(end[0], msg, sizeof(msg), -1, chan_after(10 * 1000 * 1000));
	printf("nothing more for 10 ms: %s\n", strerror(-n));
	printf("killing the sender with SIGKILL...\n");
	kill(pid, SIGKILL);
	n = chan_recv(end[0], msg, sizeof(msg), -1, CHAN_FOREVER);
	printf("the receiver learns at once: %s\n", strerror(-n));
	waitpid(pid, NULL, 0);
	return n == -ECONNRESET ? 0 : 1;
}
