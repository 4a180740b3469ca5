/* SPDX-License-Identifier: PostgreSQL */
/*
 * usage.c
 *	  CPU and memory of the gateway and of the database: all their processes, read from /proc.
 *
 * CPU of a process that lives is the sum over its threads of schedstat's first figure, in nanoseconds; of those that have
 * ended and been waited for, what their parent counts, in clock ticks. So a worker or backend that ends between two
 * readings is not lost. Kernel work in interrupts is nobody's here.
 *
 * Memory is Pss: pages shared between a parent and its workers count once.
 *
 * Called from: stage, the modes. Calls: report.
 */
#include "bench/usage.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/options.h"
#include "bench/report.h"

static double
read_number(const char *path)
{
	FILE *file = fopen(path, "r");
	double number = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%lf", &number) != 1)
		number = 0;
	fclose(file);
	return number;
}

static double
threads_seconds(long pid)
{
	char path[600];
	struct dirent *entry;
	double nanoseconds = 0;
	DIR *threads;

	snprintf(path, sizeof path, "/proc/%ld/task", pid);
	threads = opendir(path);
	if (threads == NULL)
		return 0;
	while ((entry = readdir(threads)) != NULL)
	{
		snprintf(path, sizeof path, "/proc/%ld/task/%s/schedstat", pid, entry->d_name);
		if (entry->d_name[0] != '.')
			nanoseconds += read_number(path);
	}
	closedir(threads);
	return nanoseconds / 1e9;
}

/* cutime and cstime, fields 16 and 17 of stat; the second field is a name in parentheses with anything in it. */
static double
ended_children_seconds(long pid)
{
	char path[64];
	char line[1024];
	FILE *file;
	long user = 0;
	long system = 0;
	const char *rest;

	snprintf(path, sizeof path, "/proc/%ld/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	rest = fgets(line, sizeof line, file) == NULL ? NULL : strrchr(line, ')');
	fclose(file);
	if (rest == NULL ||
		sscanf(rest, ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %ld %ld", &user, &system) != 2)
		return 0;
	return (double) (user + system) / (double) sysconf(_SC_CLK_TCK);
}

/* Pss of one process, in bytes. */
static double
process_memory(long pid)
{
	char path[64];
	char line[256];
	double kilobytes = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof line, file) != NULL)
	{
		if (sscanf(line, "Pss: %lf kB", &kilobytes) == 1)
			break;
	}
	fclose(file);
	return kilobytes * 1024;
}

static double
process_seconds(long pid)
{
	return threads_seconds(pid) + ended_children_seconds(pid);
}

/* The sum over a process and its descendants. */
static double
sum_tree(long pid, double (*of)(long pid))
{
	char path[64];
	double sum = of(pid);
	FILE *file;
	long child;

	snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, pid);
	file = fopen(path, "r");
	if (file == NULL)
		return sum;
	while (fscanf(file, "%ld", &child) == 1)
		sum += sum_tree(child, of);
	fclose(file);
	return sum;
}

static double
seconds_of(long pid)
{
	return pid == 0 ? 0 : sum_tree(pid, process_seconds);
}

struct usage
usage_read(void)
{
	return (struct usage){seconds_of(options.gateway), seconds_of(options.database)};
}

struct usage
usage_since(struct usage before)
{
	struct usage now = usage_read();

	return (struct usage){now.gateway - before.gateway, now.database - before.database};
}

double
usage_gateway_memory(void)
{
	return options.gateway == 0 ? 0 : sum_tree(options.gateway, process_memory);
}

void
usage_report(struct usage used, const char *name, double count, double unit)
{
	char line[64];

	if (count <= 0)
		return;
	snprintf(line, sizeof line, "gateway_%s", name);
	report(line, used.gateway / count * unit);
	snprintf(line, sizeof line, "database_%s", name);
	report(line, used.database / count * unit);
}
