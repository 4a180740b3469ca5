// SPDX-License-Identifier: PostgreSQL
// device.js: a client of the gateway as API.md wants one: it keeps its state by a snapshot and events, whatever happens
// to its sockets.
//
//	  OFFLINE --authenticate, no cursor yet--> the snapshot is read, events wait ------> READY
//	  OFFLINE --authenticate(since: cursor)--> what was missed comes as events --synced--> READY
//
// 1. A push of a durable event goes to its chat. One that does not follow the chat's last one leaves a gap, which
//	  list_events fills; an unknown chat, one that was joined again, and chat_reset are read anew. Meanwhile the chat's
//	  events wait in `repairs`. A repair outlives the socket: the cursor may have passed what asked for it.
// 2. `resync` asks for sync, page by page from the cursor; `reset` for everything anew.
// 3. The cursor is taken from cursor, synced and sync, and from authenticate once the snapshot is complete.
//
// Everything it hears is checked at once where one push suffices to see that it is wrong; the rest is in proofs.js.

import { sleep, until } from '../e2e/harness.js';
import { Connection, isOpen, Lost } from './connection.js';
import { Chat } from './model.js';
import { isAfter, laterId, readChat, readChats } from './snapshot.js';

const SYNC_TIMEOUT = 45000; // ms from authenticate to synced

export class Device
{
	// user: {id, name, token}; url: where its WebSocket goes
	constructor(user, name, url, record, random)
	{
		Object.assign(this, { user, name, url, record, random });
		this.cursor = null;       // all up to it has come; null: there is no snapshot yet
		this.chats = new Map();   // id → Chat
		this.former = [];         // Chats that a newer reading has replaced, or that were deleted
		this.repairs = new Map(); // chat_id → {anew, waiting: [event]}: to be read anew, or healed
		this.arrivals = [];       // [ms, chat_id, event id, type]: durable events pushed, as they came
		this.held = null;         // while the snapshot is read: {events, resets, cursor, again}, what came meanwhile
		this.ready = false;
		this.wanted = false;
	}

	start()
	{
		this.wanted = true;
		this.running = this.#run();
	}

	async stop()
	{
		this.wanted = false;
		this.connection?.terminate();
		await this.running;
	}

	// Out of reach for so long, or as long as `may`; `forgetting`: it loses what it knows, too.
	async leave(ms, forgetting, may)
	{
		this.paused = true;
		this.record.count('disconnects');
		this.connection?.terminate();
		for (const end = performance.now() + ms; performance.now() < end && may();)
			await sleep(50);
		if (forgetting)
			this.cursor = null;
		this.paused = false;
	}

	get complete() { return this.ready && this.repairs.size === 0 && !this.syncing; }

	async #run()
	{
		while (this.wanted)
		{
			if (!this.paused)
				await this.#session().catch(error => {
					this.record.write(this.name, 'session ended', error.message);
					if (!isOpen(error))
						this.record.violate('progress', { device: this.name, error: error.stack });
				});
			this.ready = false;
			this.connection?.terminate();
			await sleep(this.random.between(100, 400));
		}
	}

	async #session()
	{
		const connection = new Connection(this.url, this.name, this.record, (...push) => this.#hear(...push));
		this.connection = connection;
		this.syncing = false;
		await connection.opened;
		const since = this.cursor;
		this.synced = false;
		this.held = since === null ? this.#holding() : null;
		const answer = await connection.call('authenticate', { token: this.user.token, ...since === null ? {} : { since } });
		if (since === null)
			await this.#readAll(connection, answer.cursor);
		else
		{
			this.record.count('replays');
			await Promise.race([until(() => this.synced || connection.ended, `${this.name}: synced`, SYNC_TIMEOUT), connection.closed]);
		}
		if (connection.ended)
			throw new Lost('closed');
		this.ready = true;
		for (const chat_id of this.repairs.keys())
			this.#repair(chat_id);
		await connection.closed;
	}

	#holding() { return { events: [], resets: [], cursor: null, again: false }; }

	// Forgets everything and reads it. cursor: what was said before it is read.
	async #readAll(connection, cursor)
	{
		this.record.count('snapshots');
		this.held ??= this.#holding();
		this.cursor = null;
		const before = this.chats;
		const call = (method, params) => this.request(method, params, connection);
		const chats = new Map();
		for (const { id } of await readChats(call))
		{
			const chat = await readChat(call, id);
			if (chat)
				chats.set(id, new Chat(this.user.id, chat, before.get(id)));
		}
		const { held } = this;
		this.held = null;
		if (held.again)
			return this.#readAll(connection, null);
		this.former.push(...before.values());
		this.chats = chats;
		this.repairs.clear();
		for (const chat_id of held.resets)
			this.#queue(chat_id, true);
		for (const event of held.events)
			this.#event(event, null);
		for (const known of [cursor, held.cursor])
			if (known)
				this.#advance(known, 'snapshot');
	}

	#hear(method, params, connection)
	{
		if (connection !== this.connection)
			return;
		switch (method)
		{
			case 'event':
				this.record.count(`event ${params.type}`);
				if (params.prev_id)
					this.arrivals.push([this.record.now(), params.chat_id, params.id, params.type]);
				this.#arrive(params, this.cursor);
				break;
			case 'cursor':
				this.record.count('cursors');
				this.#hearCursor(params.cursor, method);
				break;
			case 'synced':
				this.#hearCursor(params.cursor, method);
				this.synced = true;
				break;
			case 'chat_reset':
				this.record.count('chat resets');
				if (this.held)
					this.held.resets.push(params.chat_id);
				else
					this.#queue(params.chat_id, true);
				break;
			case 'resync':
				this.record.count('resyncs');
				if (this.held)
					this.held.again = true;
				else if (this.cursor === null)
					this.#anew(connection);
				else
					this.#sync(connection);
				break;
			case 'reset':
				this.record.count('resets');
				if (this.held)
					this.held.again = true;
				else
					this.#anew(connection);
				break;
			default:
				this.record.violate('progress', { device: this.name, unknown: method });
		}
	}

	// A snapshot that is not complete yet has no cursor: the next socket would go on from there.
	#hearCursor(cursor, from)
	{
		if (this.held)
			this.held.cursor = cursor;
		else
			this.#advance(cursor, from);
	}

	#advance(cursor, from)
	{
		const before = this.cursor;
		if (cursor === undefined)
			return;
		this.record.expect('cursor', before === null || !isAfter(before, cursor),
			() => ({ device: this.name, user: this.user.id, from, was: before, now: cursor }));
		this.cursor = before === null ? cursor : laterId(before, cursor);
	}

	#arrive(event, cursor)
	{
		if (this.held)
			this.held.events.push(event);
		else
			this.#event(event, cursor);
	}

	// cursor: where it stood when the event was pushed; null where it may be older.
	#event(event, cursor)
	{
		const { chat_id } = event;
		if (chat_id === undefined || event.type === 'typing' || event.type === 'signal')
			return;
		const repair = this.repairs.get(chat_id);
		const chat = this.chats.get(chat_id);
		if (repair)
			repair.waiting.push({ event, cursor });
		else if (!chat)
			this.#queue(chat_id, true, event);
		else if (event.prev_id)
			this.#durable(chat, event, cursor);
		else
			chat.takeState(event);
	}

	#durable(chat, event, cursor)
	{
		if (chat.knows(event))
			return;
		const own = event.user_ids?.includes(this.user.id);
		if (chat.left || event.type === 'member_joined' && own)
		{
			if (event.type === 'member_joined' && own)
				this.#queue(chat.id, true, event);
			return; // anything else is found by the proof of leaks
		}
		this.record.expect('cursor', cursor === null || isAfter(event.id, cursor), () =>
			({ device: this.name, user: this.user.id, chat: chat.id, event: event.id, 'came after cursor': cursor, type: event.type }));
		if (chat.take(event) === 'gap')
		{
			this.record.count('gaps');
			this.#queue(chat.id, false, event);
		}
	}

	// The chat is to be read anew, or its gap to be filled.
	#queue(chat_id, anew, event)
	{
		const repair = this.repairs.get(chat_id) ?? { anew: false, waiting: [] };
		repair.anew ||= anew;
		if (event)
			repair.waiting.push({ event, cursor: null });
		this.repairs.set(chat_id, repair);
		if (this.ready || this.connection && !this.connection.ended)
			this.#repair(chat_id);
	}

	async #repair(chat_id)
	{
		const { connection } = this;
		const repair = this.repairs.get(chat_id);
		if (repair.by === connection)
			return;
		repair.by = connection;
		try
		{
			const { anew } = repair;
			repair.anew = false;
			if (anew)
				await this.#readAnew(chat_id, repair);
			else
				await this.#heal(this.chats.get(chat_id), repair);
		}
		catch (error)
		{
			if (!isOpen(error))
				this.record.violate('progress', { device: this.name, chat: chat_id, error: error.stack });
			repair.anew = true;
			connection.terminate();
			return;
		}
		if (!this.#holds(chat_id, repair, connection))
			return;
		this.repairs.delete(chat_id);
		if (repair.anew)
			this.#queue(chat_id, true);
		for (const { event, cursor } of repair.waiting)
			this.#event(event, cursor);
	}

	// Whether a repair that was begun on a connection still is the one that counts.
	#holds(chat_id, repair, connection)
	{
		return this.repairs.get(chat_id) === repair && repair.by === connection;
	}

	async #readAnew(chat_id, repair)
	{
		this.record.count('chats read anew');
		const connection = repair.by;
		const snapshot = await readChat((method, params) => this.request(method, params, connection), chat_id);
		if (!this.#holds(chat_id, repair, connection))
			return;
		const before = this.chats.get(chat_id);
		if (before)
			this.former.push(before);
		if (snapshot)
			this.chats.set(chat_id, new Chat(this.user.id, snapshot, before));
		else
		{
			this.chats.delete(chat_id); // deleted meanwhile: what waits for it has nowhere to go
			repair.waiting.splice(0);
		}
	}

	async #heal(chat, repair)
	{
		this.record.count('gaps healed');
		const connection = repair.by;
		const asked = repair.waiting.filter(({ event }) => event.prev_id);
		for (let more = true; more;)
		{
			const page = await this.request('list_events', { chat_id: chat.id, after_id: chat.last, page_size: 100 }, connection).catch(error => {
				if (error.code === 404)
					return null;
				throw error;
			});
			if (!this.#holds(chat.id, repair, connection))
				return;
			if (page === null) // deleted, or nothing of it is for this user any more
				return this.#readAnew(chat.id, repair);
			for (const { event } of page.rows)
			{
				if (event.type === 'member_joined' && event.user_ids.includes(this.user.id) && !chat.knows(event))
					return this.#readAnew(chat.id, repair);
				chat.heal(event);
			}
			more = page.has_more;
		}
		// What was pushed before list_events was asked has been committed, so it is among what that answers.
		for (const { event } of asked)
			if (!this.record.expect('chain', chat.knows(event) || chat.left, () =>
				({ device: this.name, user: this.user.id, chat: chat.id, event: event.id, type: event.type, 'list_events ended at': chat.last })))
				chat.heal(event);
	}

	async #sync(connection)
	{
		if (this.syncing)
		{
			this.syncAgain = true;
			return;
		}
		this.syncing = true;
		try
		{
			do
			{
				this.syncAgain = false;
				for (let more = true; more;)
				{
					const page = await this.request('sync', { since: this.cursor, page_size: 200 }, connection);
					if (page.reset)
						await this.#readAll(connection, null);
					for (const event of page.events ?? [])
						if (event.type === 'chat_reset')
							this.#queue(event.chat_id, true);
						else
							this.#arrive(event, null);
					for (const event of page.state ?? [])
						this.#arrive(event, null);
					this.#advance(page.cursor, 'sync');
					more = page.has_more;
				}
			} while (this.syncAgain);
		}
		catch (error)
		{
			if (!isOpen(error))
				this.record.violate('progress', { device: this.name, error: error.stack });
			connection.terminate();
		}
		finally
		{
			if (connection === this.connection)
				this.syncing = false;
		}
	}

	async #anew(connection)
	{
		this.syncing = true;
		await this.#readAll(connection, null).catch(() => connection.terminate());
		if (connection === this.connection)
			this.syncing = false;
	}

	// A call that may be made again, until it is answered, on this connection.
	async request(method, params, connection)
	{
		for (;;)
		{
			try
			{
				return await connection.call(method, params);
			}
			catch (error)
			{
				if (!isOpen(error) || connection.ended)
					throw error;
				this.record.count(`again after ${error.code ?? 'loss'} ${error.reason ?? ''}`);
				await sleep(200);
			}
		}
	}

	// The same whatever becomes of the connection, for as long as the device is wanted.
	async persist(method, params)
	{
		for (;;)
		{
			if (!this.wanted)
				throw new Lost(`${method}: the device was stopped`);
			if (!this.ready)
			{
				await sleep(50);
				continue;
			}
			try
			{
				return await this.request(method, params, this.connection);
			}
			catch (error)
			{
				if (!isOpen(error))
					throw error;
				await sleep(50);
			}
		}
	}
}
