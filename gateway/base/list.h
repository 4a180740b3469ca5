/* SPDX-License-Identifier: PostgreSQL */
/*
 * A doubly linked list whose nodes lie inside the things listed. The head is a node too; list_init makes it empty.
 * A node that was removed, or initialised and never added, is an empty list of itself: removing it again is harmless.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list
{
	struct list *prev; /* last of the list, or the one before; itself when empty */
	struct list *next; /* first of the list, or the one after; itself when empty */
};

/* The thing of that type whose member is this node. */
#define list_entry(node, type, member) ((type *) ((char *) (node) -offsetof(type, member)))

/* Every node of a list; the current one may be removed. `node` and `after` are struct list pointers. */
#define list_each(node, after, list)                                                                         \
	for ((node) = (list)->next; (after) = (node)->next, (node) != (list); (node) = (after))

static inline void
list_init(struct list *list)
{
	list->prev = list->next = list;
}

static inline bool
list_empty(const struct list *list)
{
	return list->next == list;
}

static inline void
list_insert_after(struct list *where, struct list *node)
{
	node->prev = where;
	node->next = where->next;
	where->next->prev = node;
	where->next = node;
}

static inline void
list_append(struct list *list, struct list *node)
{
	list_insert_after(list->prev, node);
}

static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* The first node, taken off the list; NULL when it is empty. */
static inline struct list *
list_shift(struct list *list)
{
	struct list *node = list->next;

	if (node == list)
		return NULL;
	list_remove(node);
	return node;
}

#endif
