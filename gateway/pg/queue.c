/* SPDX-License-Identifier: PostgreSQL */
/*
 * queue.c
 *	  Calls that wait, served in turn: `turn` of each caller's, mostly one, and round again.
 *
 *	  a caller:	in turn --`turn` calls taken--> at the end of the turns --`limit` calls run--> parked
 *				   ^_________________________ one of them is over ____________________________|
 *
 * A caller is a user, or an address before login (key below 0), or the gateway itself (key 0), which has no limit.
 *
 * 1. The calls of one caller leave in the order they came, whatever others do.
 * 2. Whoever comes waits for one turn of each other at most, however much those have waiting.
 * 3. What comes back, because it did not run after all, stands before everything else, in the order in which it is
 *	  returned backwards: the last one returned is the first.
 * 4. Who has most waiting is found without a search: callers stand in lists by how much that is.
 *
 * All takes the same time however long the queue; only queue_each walks. A caller is here as long as calls of theirs
 * wait or run. Callers are used again, so that a call costs no allocation.
 *
 * Called from: pg/pool. Calls: base/.
 */
#include "pg/queue.h"

#include "base/hash.h"
#include "base/mem.h"

#define FIRST_PLACES 16  /* of a new queue */
#define SPARES       256 /* callers kept for later */

struct caller
{
	int64_t key;       /* a user's id; below 0: an address; 0: the gateway */
	struct list turn;  /* in queue->turns; alone: nothing waits, or parked */
	struct list load;  /* in one of queue->loads; alone: nothing waits */
	struct list place; /* in one of queue->places, or in spares */
	struct list calls; /* struct pg_call by node: waiting */
	int waiting;       /* of calls */
	int running;       /* taken and not done */
	int taken;         /* in this turn */
};

static struct list spares = {&spares, &spares}; /* struct caller by place: of no queue */
static int spare_count;                         /* of them */

static void
make_places(struct queue *queue, size_t count)
{
	queue->place_count = count;
	queue->places = mem_alloc(count * sizeof *queue->places);
	for (size_t i = 0; i < count; i++)
		list_init(&queue->places[i]);
}

void
queue_open(struct queue *queue)
{
	*queue = (struct queue){0};
	list_init(&queue->turns);
	for (int i = 0; i < QUEUE_LOADS; i++)
		list_init(&queue->loads[i]);
	make_places(queue, FIRST_PLACES);
}

void
queue_close(struct queue *queue)
{
	struct list *node;

	mem_free(queue->places);
	while ((node = list_shift(&spares)) != NULL)
		mem_free(list_entry(node, struct caller, place));
	spare_count = 0;
}

static struct list *
place_of(const struct queue *queue, int64_t key)
{
	return &queue->places[hash_bytes(&key, sizeof key) & (queue->place_count - 1)];
}

static struct caller *
find(const struct queue *queue, int64_t key)
{
	struct list *place = place_of(queue, key);

	for (struct list *node = place->next; node != place; node = node->next)
	{
		struct caller *caller = list_entry(node, struct caller, place);

		if (caller->key == key)
			return caller;
	}
	return NULL;
}

static void
grow(struct queue *queue)
{
	struct list *old = queue->places;
	size_t count = queue->place_count;
	struct list *node;

	make_places(queue, 2 * count);
	for (size_t i = 0; i < count; i++)
	{
		while ((node = list_shift(&old[i])) != NULL)
			list_append(place_of(queue, list_entry(node, struct caller, place)->key), node);
	}
	mem_free(old);
}

static struct caller *
create(void)
{
	struct list *node = list_shift(&spares);

	if (node == NULL)
		return mem_alloc(sizeof(struct caller));
	spare_count--;
	return list_entry(node, struct caller, place);
}

static struct caller *
find_or_add(struct queue *queue, int64_t key)
{
	struct caller *caller = find(queue, key);

	if (caller != NULL)
		return caller;
	if (queue->caller_count == queue->place_count)
		grow(queue);
	caller = create();
	*caller = (struct caller){.key = key};
	list_init(&caller->turn);
	list_init(&caller->load);
	list_init(&caller->calls);
	list_append(place_of(queue, key), &caller->place);
	queue->caller_count++;
	return caller;
}

/* Nothing of theirs is here any more. */
static void
part(struct queue *queue, struct caller *caller)
{
	if (caller->waiting > 0 || caller->running > 0)
		return;
	list_remove(&caller->place);
	queue->caller_count--;
	if (spare_count == SPARES)
	{
		mem_free(caller);
		return;
	}
	list_append(&spares, &caller->place);
	spare_count++;
}

static bool
may_run(const struct queue *queue, const struct caller *caller)
{
	return caller->waiting > 0 && (caller->key == 0 || caller->running < queue->limit);
}

/* So many more, or fewer, of theirs wait. */
static void
change_load(struct queue *queue, struct caller *caller, int change)
{
	int load;

	queue->waiting += change;
	caller->waiting += change;
	load = caller->waiting < QUEUE_LOADS ? caller->waiting : QUEUE_LOADS - 1;
	list_remove(&caller->load);
	if (load > 0)
		list_append(&queue->loads[load], &caller->load);
	queue->heaviest = load > queue->heaviest ? load : queue->heaviest;
	while (queue->heaviest > 0 && list_empty(&queue->loads[queue->heaviest]))
		queue->heaviest--;
}

int
queue_waiting(const struct queue *queue, int64_t key)
{
	const struct caller *caller = find(queue, key);

	return caller ? caller->waiting : 0;
}

void
queue_append(struct queue *queue, struct pg_call *call)
{
	struct caller *caller = find_or_add(queue, call->user);

	call->caller = caller;
	list_append(&caller->calls, &call->node);
	change_load(queue, caller, 1);
	if (list_empty(&caller->turn) && may_run(queue, caller))
		list_append(&queue->turns, &caller->turn);
}

void
queue_return(struct queue *queue, struct pg_call *call)
{
	struct caller *caller = find_or_add(queue, call->user);

	call->caller = caller;
	list_insert_after(&caller->calls, &call->node);
	change_load(queue, caller, 1);
	if (!may_run(queue, caller))
		return;
	list_remove(&caller->turn);
	list_insert_after(&queue->turns, &caller->turn);
}

struct pg_call *
queue_first(const struct queue *queue)
{
	if (list_empty(&queue->turns))
		return NULL;
	return list_entry(list_entry(queue->turns.next, struct caller, turn)->calls.next, struct pg_call, node);
}

void
queue_take(struct queue *queue, struct pg_call *call)
{
	struct caller *caller = call->caller;

	list_remove(&call->node);
	change_load(queue, caller, -1);
	caller->running++;
	if (++caller->taken < queue->turn && may_run(queue, caller))
		return;
	caller->taken = 0;
	list_remove(&caller->turn);
	if (may_run(queue, caller))
		list_append(&queue->turns, &caller->turn);
}

void
queue_done(struct queue *queue, struct pg_call *call)
{
	struct caller *caller = call->caller;

	caller->running--;
	if (list_empty(&caller->turn) && may_run(queue, caller))
		list_append(&queue->turns, &caller->turn);
	part(queue, caller);
}

void
queue_drop(struct queue *queue, struct pg_call *call)
{
	struct caller *caller = call->caller;

	list_remove(&call->node);
	change_load(queue, caller, -1);
	if (caller->waiting == 0)
		list_remove(&caller->turn);
	part(queue, caller);
}

struct pg_call *
queue_newest(const struct queue *queue)
{
	if (queue->waiting == 0)
		return NULL;
	return list_entry(list_entry(queue->loads[queue->heaviest].next, struct caller, load)->calls.prev,
					  struct pg_call, node);
}

static void
visit_calls(struct queue *queue, struct caller *caller,
			void (*visit)(struct queue *queue, struct pg_call *call, void *arg), void *arg)
{
	struct list *node;
	struct list *after;
	int left =
		caller->waiting; /* with the last one dropped the caller may be gone, and the head of the list */

	for (node = caller->calls.next; left > 0; node = after, left--)
	{
		after = node->next;
		visit(queue, list_entry(node, struct pg_call, node), arg);
	}
}

void
queue_each(struct queue *queue, void (*visit)(struct queue *queue, struct pg_call *call, void *arg),
		   void *arg)
{
	struct list *node;
	struct list *after;

	for (size_t i = 0; i < queue->place_count; i++)
	{
		list_each(node, after, &queue->places[i])
		{
			visit_calls(queue, list_entry(node, struct caller, place), visit, arg);
		}
	}
}
