/* SPDX-License-Identifier: PostgreSQL */
/*
 * slow_flush.c
 *	  A disk whose flush takes SLOW_FLUSH_US microseconds longer: LD_PRELOADed into a postmaster, whose children
 *	  inherit it. For benchmarks on machines whose disk is faster than those the software will run on.
 *
 * Only fsync and fdatasync: wal_sync_method must be one of the two, which delivery.sh checks, as it does that the delay
 * is there. A sleeping process uses no CPU, as one that waits for a disk.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int (*flush_function)(int fd);

static struct timespec delay; /* of every flush; zero until SLOW_FLUSH_US was read */

static __attribute__((constructor)) void
read_delay(void)
{
	const char *text = getenv("SLOW_FLUSH_US");
	long microseconds = text == NULL ? 0 : atol(text);

	delay.tv_sec = microseconds / 1000000;
	delay.tv_nsec = microseconds % 1000000 * 1000;
}

static int
flush_slowly(const char *name, int fd)
{
	flush_function flush = (flush_function) dlsym(RTLD_NEXT, name);

	nanosleep(&delay, NULL);
	return flush(fd);
}

int
fsync(int fd)
{
	return flush_slowly("fsync", fd);
}

int
fdatasync(int fd)
{
	return flush_slowly("fdatasync", fd);
}
