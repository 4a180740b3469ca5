// SPDX-License-Identifier: PostgreSQL
/*
 * store.js: what the page knows: the user's chats, their messages, what is still to be sent. No DOM in here.
 *
 * How it stays right:
 *  1. ready (signed in, first or again) and `reset` → load(): all of list_chats is read again. Where last_event_id is
 *     not the one known there is a gap.
 *  2. An event whose prev_id is newer than the chat's last known event → a gap, too.
 *     A gap sets the chat's `anchor`, the id up to which its messages are known to be complete. The chat on show is
 *     healed a moment later (events of one moment can arrive out of order), others when they are opened.
 *  3. heal(): list_messages after the anchor until has_more is false. Too far behind: starts anew with the last page.
 *  4. Rows are merged by id, so everything may come any number of times, by answer, event or page.
 * Sending: a row goes into the chat's outbox with its client_key, one call at a time per chat so that the order written
 * is the order sent; answer or event, whichever is first, turns it into a message. What fails for want of a connection
 * goes out again at the next ready, what the server refuses waits for retry() or discard().
 *
 * Unread: messages carry their number in the chat, so unread = the greatest number known − the number read up to. Both
 * only grow, so it does not matter in which order answers and events come.
 * onChange() is called once per turn of the event loop in which something changed; the view draws from here.
 */

import { compareIds, newKey } from './chat.js';

const CHATS_PAGE = 100;
const MESSAGES_PAGE = 40;
const HEAL_PAGE = 128;
const HEAL_PAGES = 5;           // further behind than this: start anew with the last page
const HEAL_DELAY = 250;         // ms given to an event that was overtaken
const SEND_TIMEOUT = 120000;

function newChat(row)
{
	return {
		id: row.id,
		row,                    // as list_chats gives it, last_event_id and last_message kept up to date by events
		messages: [],           // ascending ids, up to the newest
		loaded: false,          // the newest page was read
		hasOlder: false,        // than messages[0]
		loadingOlder: false,
		opening: null,          // promise of the first page
		anchor: null,           // not null: messages after this id may be missing
		gaps: 0,                // gaps seen so far
		healTimer: null,
		healing: false,
		outbox: [],             // {client_key, body, at, error}, as written
		flushing: false,
		marking: false,         // mark_read is under way
		count: 0,               // greatest message number known
		readCount: 0,           // the one read up to
		otherReadId: null,      // how far the other side of a direct chat has read
		get unread()
		{
			return Math.max(0, this.count - this.readCount);
		},
	};
}

export class Store
{
	#client;
	#changed = false;
	#loads = 0;                 // load() calls; only the latest goes on
	#adopting = new Map();      // chat id → promise of its get_chat

	me = null;                  // profile of the user
	chats = new Map();          // id → chat
	loaded = false;             // list_chats was read to the end at least once
	openId = null;              // chat on show
	onChange = () => {};
	onError = () => {};

	constructor(client)
	{
		this.#client = client;
		client.on('event', (event) => this.apply(event));
		client.on('notification', ({ method }) => ['reset', 'chat_reset'].includes(method) && this.load());
		client.on('ready', () => this.load());
	}

	clear()
	{
		this.me = null;
		this.chats.clear();
		this.loaded = false;
		this.openId = null;
		this.#change();
	}

	/* ---- reading ---- */

	list()
	{
		return [...this.chats.values()]
			.filter((chat) => chat.row.kind !== 'direct' || chat.row.last_message || chat.outbox.length
				|| chat.id === this.openId)
			.sort((a, b) => (b.outbox.length > 0) - (a.outbox.length > 0) || compareIds(b.row.last_event_id ?? b.id, a.row.last_event_id ?? a.id));
	}

	unread()
	{
		let sum = 0;
		for (const chat of this.chats.values())
			sum += chat.row.muted_until ? 0 : chat.unread;
		return sum;
	}

	async load()
	{
		const run = ++this.#loads;
		const gone = new Set(this.chats.keys());
		try
		{
			this.me = await this.#client.call('get_profile');
			let page;
			for (let before_id = null; ; before_id = page.rows.at(-1).last_event_id)
			{
				page = await this.#client.call('list_chats', { page_size: CHATS_PAGE, before_id });
				if (run !== this.#loads)
					return;
				for (const row of page.rows)
				{
					this.#mergeChat(row);
					gone.delete(row.id);
				}
				this.#change();
				if (!page.has_more || !page.rows.length)
					break;
			}
		}
		catch (error)
		{
			// Signed out or disconnected in the middle: the next ready starts over.
			if (error.code >= 400 && error.code < 500 && error.code !== 401)
				this.onError(error);
			return;
		}
		for (const id of gone)
			if (id !== this.openId && !this.chats.get(id)?.outbox.length)
				this.chats.delete(id);
		this.loaded = true;
		this.chats.forEach((chat) => this.#flush(chat));
		const open = this.chats.get(this.openId);
		if (open?.anchor)
			this.heal(open);
		else if (this.openId && !open?.loaded)
			this.open(this.openId).catch(this.onError);
		this.#change();
	}

	// Makes a chat known that is not, or not any more, in the list.
	adopt(id)
	{
		if (!this.#adopting.has(id))
			this.#adopting.set(id, this.#client.call('get_chat', { chat_id: id })
				.then((row) => this.#mergeChat(row))
				.finally(() => { this.#adopting.delete(id); this.#change(); }));
		return this.#adopting.get(id);
	}

	async openDirect(userId)
	{
		const row = await this.#client.call('open_direct_chat', { user_id: userId }, { repeat: true });
		if (row.other_user === undefined)
			return this.adopt(row.id);
		return this.#mergeChat(row);
	}

	searchUsers(pattern)
	{
		return this.#client.call('search_users', { pattern, page_size: 20 });
	}

	async open(id)
	{
		this.openId = id;
		this.#change();
		const chat = this.chats.get(id) ?? await this.adopt(id);
		if (!chat.loaded)
			await (chat.opening ??= this.#loadNewest(chat).finally(() => { chat.opening = null; }));
		else if (chat.anchor)
			await this.heal(chat);
		return chat;
	}

	async #loadNewest(chat)
	{
		const { gaps } = chat;
		const page = await this.#client.call('list_messages', { chat_id: chat.id, page_size: MESSAGES_PAGE });
		// Messages that came as events before the first page did are newer than it, or in it.
		const first = page.rows[0]?.id;
		chat.messages = chat.messages.filter((message) => first && compareIds(message.id, first) > 0);
		page.rows.forEach((message) => this.#insert(chat, message));
		chat.hasOlder = page.has_more;
		chat.loaded = true;
		chat.anchor = null;
		if (gaps !== chat.gaps)
			this.#gap(chat, page.rows.at(-1)?.id ?? '0');
		this.#change();
	}

	async loadOlder(chat)
	{
		if (!chat.hasOlder || chat.loadingOlder)
			return;
		chat.loadingOlder = true;
		try
		{
			const first = chat.messages[0];
			const page = await this.#client.call('list_messages',
				{ chat_id: chat.id, before_id: first.id, page_size: MESSAGES_PAGE });
			if (chat.messages[0] === first)
			{
				page.rows.forEach((message) => this.#insert(chat, message));
				chat.hasOlder = page.has_more;
			}
		}
		finally
		{
			chat.loadingOlder = false;
			this.#change();
		}
	}

	async heal(chat)
	{
		if (chat.healing)
			return;
		chat.healing = true;
		try
		{
			let gaps;
			do
			{
				gaps = chat.gaps;
				if (!await this.#readOn(chat))
					await this.#loadNewest(chat);
			}
			while (gaps !== chat.gaps);
			chat.anchor = null;
		}
		catch (error)
		{
			// Disconnected: the anchor stays, the next load() comes back to it.
			if (error.code >= 400 && error.code < 500)
				this.onError(error);
			else if (this.#client.state === 'ready')
				this.#healSoon(chat);
		}
		finally
		{
			chat.healing = false;
			this.#change();
		}
	}

	async #readOn(chat)
	{
		for (let pages = 0; pages < HEAL_PAGES; pages++)
		{
			const page = await this.#client.call('list_messages',
				{ chat_id: chat.id, after_id: chat.anchor, page_size: HEAL_PAGE });
			page.rows.forEach((message) => this.#insert(chat, message));
			chat.anchor = page.rows.at(-1)?.id ?? chat.anchor;
			if (!page.has_more)
				return true;
		}
		return false;
	}

	/* ---- events ---- */

	apply(event)
	{
		if (event.type === 'read')
			this.#applyRead(event);
		if (!event.chat_id || !event.id)
			return;
		const chat = this.chats.get(event.chat_id);
		if (!chat)
		{
			this.adopt(event.chat_id).catch(() => {});
			return;
		}
		const { row } = chat;
		const last = row.last_event_id;
		if (!last || compareIds(event.id, last) > 0)
		{
			if (last && event.prev_id && compareIds(event.prev_id, last) > 0)
				this.#gap(chat, last);
			row.last_event_id = event.id;
		}
		if (event.message && event.client_key && this.#isMe(event.actor_id))
			this.#resolve(chat, event.client_key, event.message);
		else if (event.message)
			this.#insert(chat, event.message);
		this.#change();
	}

	#applyRead({ chat_id, user_id, message_id, number })
	{
		const chat = this.chats.get(chat_id);
		if (!chat)
			return;
		// The event's unread is of its own moment; the number of the message read holds for ever.
		if (this.#isMe(user_id))
			chat.readCount = Math.max(chat.readCount, number);
		else
			this.#otherHasRead(chat, message_id);
		this.#change();
	}

	#otherHasRead(chat, id)
	{
		if (id && !(chat.otherReadId && compareIds(id, chat.otherReadId) <= 0))
			chat.otherReadId = id;
	}

	// Events after this one may be missing. (Not "after the newest message": that may be one's own, answered already.)
	#gap(chat, after)
	{
		chat.gaps++;
		if (!chat.loaded)
			return;
		chat.anchor ??= after;
		this.#healSoon(chat);
	}

	#healSoon(chat)
	{
		clearTimeout(chat.healTimer);
		chat.healTimer = setTimeout(() => {
			if (chat.anchor && chat.id === this.openId)
				this.heal(chat);
		}, HEAL_DELAY);
	}

	/* ---- writing ---- */

	send(chat, body)
	{
		chat.outbox.push({ client_key: newKey(), body, at: new Date().toISOString(), error: null });
		this.#flush(chat);
		this.#change();
	}

	retry(chat, item)
	{
		item.error = null;
		this.#flush(chat);
		this.#change();
	}

	discard(chat, item)
	{
		chat.outbox = chat.outbox.filter((other) => other !== item);
		this.#change();
	}

	async #flush(chat)
	{
		for (const item of chat.outbox)
			if (item.error && (item.error.code === 503 || item.error.code === 429))
				item.error = null;
		if (chat.flushing)
			return;
		chat.flushing = true;
		let item;
		while ((item = chat.outbox.find(({ error }) => !error)))
		{
			const { client_key, body } = item;
			try
			{
				const answer = await this.#client.call('send_message', { chat_id: chat.id, body, client_key },
					{ timeout: SEND_TIMEOUT });
				this.#resolve(chat, client_key, { id: answer.id, chat_id: chat.id, number: answer.number,
					kind: 'user', sender_id: this.me.id, body, sent_at: answer.sent_at, deleted_at: null }, true);
			}
			catch (error)
			{
				item.error = error;
			}
			this.#change();
		}
		chat.flushing = false;
	}

	// The row shown as pending becomes the message; it keeps its client_key, by which the view knows its element.
	#resolve(chat, client_key, message, provisional = false)
	{
		chat.outbox = chat.outbox.filter((item) => item.client_key !== client_key);
		this.#insert(chat, { ...message, client_key }, provisional);
	}

	async markRead(chat)
	{
		const last = chat.messages.findLast(({ number }) => number != null);
		if (!last || Number(last.number) <= chat.readCount || chat.marking)
			return;
		chat.marking = true;
		chat.readCount = Number(last.number);
		this.#change();
		try
		{
			await this.#client.call('mark_read', { chat_id: chat.id, message_id: last.id }, { repeat: true });
		}
		catch
		{
			// The next that is read will do.
		}
		finally
		{
			chat.marking = false;
			if (chat.unread)
				this.#change();
		}
	}

	/* ---- merging ---- */

	#mergeChat(row)
	{
		let chat = this.chats.get(row.id);
		if (!chat)
		{
			chat = newChat(row);
			this.chats.set(row.id, chat);
		}
		else
		{
			const moved = compareIds(row.last_event_id ?? '0', chat.row.last_event_id ?? '0');
			if (moved > 0)
				this.#gap(chat, chat.row.last_event_id);
			// An answer can be older than the events that came while it was under way.
			if (moved < 0)
			{
				const { last_event_id, last_message } = chat.row;
				row = { ...row, last_event_id, last_message };
			}
			chat.row = row;
		}
		chat.count = Math.max(chat.count, row.message_count);
		chat.readCount = Math.max(chat.readCount, row.message_count - row.unread);
		this.#otherHasRead(chat, row.other_read_id);
		this.#change();
		return chat;
	}

	#insert(chat, message, provisional = false)
	{
		const { messages, row } = chat;
		let at = messages.length;
		while (at > 0 && compareIds(messages[at - 1].id, message.id) > 0)
			at--;
		const known = messages[at - 1]?.id === message.id ? messages[at - 1] : null;
		if (known)
			messages[at - 1] = provisional ? { ...message, ...known }
				: { ...known, ...message, client_key: known.client_key ?? message.client_key };
		else if (chat.loaded || chat.id === this.openId)
			messages.splice(at, 0, message);
		if (!row.last_message || compareIds(message.id, row.last_message.id) >= 0)
			row.last_message = row.last_message?.id === message.id ? { ...row.last_message, ...message } : message;
		// Who writes has read, on either side.
		if (message.number != null)
		{
			chat.count = Math.max(chat.count, Number(message.number));
			if (this.#isMe(message.sender_id))
				chat.readCount = Math.max(chat.readCount, Number(message.number));
			else
				this.#otherHasRead(chat, message.id);
		}
	}

	#isMe(userId)
	{
		return userId != null && userId === this.#client.session?.user_id;
	}

	#change()
	{
		if (this.#changed)
			return;
		this.#changed = true;
		queueMicrotask(() => {
			this.#changed = false;
			this.onChange();
		});
	}
}
