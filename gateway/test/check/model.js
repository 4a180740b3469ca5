// SPDX-License-Identifier: PostgreSQL
// model.js: one chat as a client knows it: a snapshot, and what events have made of it since.
//
// Durable events come in the order of the chain: take() applies one whose prev_id is the last one known, drops one that
// is known, and says 'gap' of all others; who asks for list_events then applies what comes with heal(). State events
// (read, drafts, …) come in any order: each has a version, the greatest stays.
//
// floor is the event up to which the snapshot reached: what is at or below it has gone into it. `seen` are the events
// applied since, in their order; the proofs at the end compare them with the history.

import { canonical, isAfter, laterId, messageOf, prefsOf } from './snapshot.js';

const time = text => Date.parse(text);

export class Chat
{
	// before: the same chat as it was known until now. A draft that was cleared has no version in a snapshot.
	constructor(user_id, snapshot, before)
	{
		Object.assign(this, snapshot, { user_id, floor: snapshot.last, seen: new Map(), holes: [], disorder: [] });
		this.baseline = snapshot.messages[0]?.id ?? snapshot.last;
		this.messages = new Map(snapshot.messages.map(message => [message.id, message]));
		this.draft = snapshot.draft ?? { version: before?.draft.version ?? '0', body: '', reply_to_id: null };
		this.hidden = new Set(before?.hidden);
		this.gone = false; // deleted for everybody
	}

	knows(event) { return this.gone || !isAfter(event.id, this.floor) || this.seen.has(event.id); }

	// → 'taken', 'known', 'gap'
	take(event)
	{
		if (this.knows(event))
			return 'known';
		if (event.type === 'chat_deleted')
			this.gone = true; // nobody can ask any more for what came before
		else if (event.prev_id !== this.last)
			return 'gap';
		if (!this.gone)
			this.#see(event);
		return 'taken';
	}

	// An event of list_events, which follows the last one whatever its prev_id says.
	heal(event)
	{
		if (this.knows(event))
			return;
		if (event.type === 'chat_deleted')
		{
			this.gone = true;
			return;
		}
		if (event.prev_id !== this.last)
			this.holes.push({ after: this.last, before: event.id, prev_id: event.prev_id });
		this.#see(event);
	}

	#see(event)
	{
		if (!isAfter(event.id, this.last))
			this.disorder.push({ id: event.id, after: this.last });
		this.seen.set(event.id, { prev_id: event.prev_id, type: event.type, key: event.client_key && `${event.actor_id} ${event.client_key}` });
		this.last = event.id;
		this.#apply(event);
	}

	#apply(event)
	{
		const message = this.messages.get(event.message_id);
		switch (event.type)
		{
			case 'message':
				this.#addMessage(event.message);
				break;
			case 'message_edited':
				// An edit that a later one has replaced is logged without its body; that one comes too.
				if (message && message.deleted === null)
					Object.assign(message, { body: event.body ?? message.body, edited: time(event.at) });
				break;
			case 'message_deleted':
				if (message)
					Object.assign(message, {
						body: '', edited: null, deleted: time(event.at), reply: null, mentions: [], attributes: null, pinned: false, forwarded_from: null,
						reactions: {}, mine: []
					});
				break;
			case 'message_pinned':
			case 'message_unpinned':
				if (message)
					message.pinned = event.type === 'message_pinned';
				break;
			case 'reaction_added':
			case 'reaction_removed':
				if (message)
					this.#react(message, event);
				break;
			case 'member_joined':
				for (const id of event.user_ids)
				{
					this.members.set(id, event.role);
					this.receipts.set(id, { read: event.id, delivered: event.id });
				}
				break;
			case 'member_changed':
				for (const id of event.user_ids)
					this.members.set(id, event.role);
				break;
			case 'member_left':
				for (const id of event.user_ids)
				{
					this.members.delete(id);
					this.receipts.delete(id);
				}
				this.left ||= event.user_ids.includes(this.user_id);
				break;
			case 'chat_changed':
				this.title = 'title' in event ? event.title : this.title;
				this.posting = event.posting ?? this.posting;
				break;
		}
		if (event.type !== 'message' && event.message)
			this.messages.set(event.message.id, messageOf(event.message));
	}

	// Who sends has read so far.
	#addMessage(row)
	{
		this.count = Math.max(this.count, row.number);
		this.#moveCursor(row.sender_id, { read: row.id, number: row.number });
		if (!this.hidden.has(row.id))
			this.messages.set(row.id, messageOf(row));
	}

	#react(message, { type, user_id, emoji, count })
	{
		message.reactions[emoji] = count;
		if (count === 0)
			delete message.reactions[emoji];
		if (user_id === this.user_id)
			message.mine = type === 'reaction_added' ? [...new Set([...message.mine, emoji])].sort() : message.mine.filter(own => own !== emoji);
	}

	#moveCursor(user_id, { read, delivered, number })
	{
		const known = this.receipts.get(user_id) ?? { read: '0', delivered: '0' };
		if (this.members.has(user_id) || user_id === this.user_id)
			this.receipts.set(user_id, { read: laterId(known.read, read ?? '0'), delivered: laterId(known.delivered, delivered ?? '0') });
		if (user_id === this.user_id && read && isAfter(read, this.read))
			Object.assign(this, { read, readCount: number });
	}

	// An event that no chain holds.
	takeState(event)
	{
		switch (event.type)
		{
			case 'read':
				this.#moveCursor(event.user_id, { read: event.message_id, number: event.number });
				break;
			case 'delivered':
				this.#moveCursor(event.user_id, { delivered: event.message_id });
				break;
			case 'chat_prefs_changed':
				if (isAfter(event.version, this.prefs.version))
					this.prefs = prefsOf(event);
				break;
			case 'draft_changed':
				if (isAfter(event.version, this.draft.version))
					this.draft = { version: event.version, body: event.body, reply_to_id: event.reply_to_id };
				break;
			case 'message_hidden':
				this.hidden.add(event.message_id);
				this.messages.delete(event.message_id);
				break;
		}
	}

	get unread() { return this.count - this.readCount; }

	get mentionCountNow()
	{
		const mentions = message => isAfter(message.id, this.read) && message.sender_id !== this.user_id && message.mentions.includes(this.user_id);
		return [...this.messages.values()].filter(mentions).length;
	}

	// [what, known, fresh] of each difference to a fresh snapshot of the same chat.
	differences(fresh)
	{
		const found = [];
		const compare = (what, known, real) => {
			if (JSON.stringify(canonical(known)) !== JSON.stringify(canonical(real)))
				found.push([what, known, real]);
		};
		compare('left', this.left, fresh.left);
		if (this.left || fresh.left)
			return found;
		for (const what of ['title', 'posting', 'count', 'read', 'readCount', 'prefs'])
			compare(what, this[what], fresh[what]);
		compare('unread', this.unread, fresh.count - fresh.readCount);
		if (!isAfter(this.baseline, this.read))
			compare('mentions', this.mentionCountNow, fresh.mentionCount);
		compare('draft', [this.draft.body, this.draft.reply_to_id], [fresh.draft?.body ?? '', fresh.draft?.reply_to_id ?? null]);
		compare('members', [...this.members].sort(), [...fresh.members].sort());
		const real = new Map(fresh.messages.map(message => [message.id, message]));
		for (const id of new Set([...this.messages.keys(), ...real.keys()]))
			if (!isAfter(this.baseline, id))
				compare(`message ${id}`, this.messages.get(id) ?? null, real.get(id) ?? null);
		for (const [id, { read, delivered }] of fresh.receipts)
		{
			const known = this.receipts.get(id) ?? { read: '0', delivered: '0' };
			// What was behind the first message of the snapshot, and has not moved since, is not known.
			if (known.read !== '0' || isAfter(read, this.floor))
				compare(`read cursor of ${id}`, known.read, read);
			if (known.delivered !== '0' || isAfter(delivered, this.floor))
				compare(`delivery cursor of ${id}`, laterId(known.read, known.delivered), delivered);
		}
		return found;
	}
}
