/*
 * Lets Keepalived's checker run on a kernel without IPVS, for benchmarks only:
 * every IPVS socket option succeeds and does nothing. Loaded with LD_PRELOAD.
 * All other socket options go to the kernel.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* The range of option numbers that linux/ip_vs.h gives to IPVS. */
static int is_ipvs(int level, int name)
{
	return level == IPPROTO_IP && name >= 64 + 1024 + 64 && name < 64 + 1024 + 128;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	static int (*next)(int, int, int, const void *, socklen_t);

	if (is_ipvs(level, name))
		return 0;
	if (!next)
		next = dlsym(RTLD_NEXT, "setsockopt");
	return next(fd, level, name, value, size);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	static int (*next)(int, int, int, void *, socklen_t *);

	if (is_ipvs(level, name)) {
		memset(value, 0, *size);
		return 0;
	}
	if (!next)
		next = dlsym(RTLD_NEXT, "getsockopt");
	return next(fd, level, name, value, size);
}
