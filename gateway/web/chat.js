// SPDX-License-Identifier: PostgreSQL
/*
 * chat.js: a client of the chat gateway for browsers (and for any JavaScript runtime that has WebSocket).
 * One ES module, no dependencies, knows nothing about the page around it.
 *
 *     import { ChatClient } from './chat.js';
 *
 *     const chat = new ChatClient({ url: 'wss://chat.example.org/ws' });
 *     chat.on('ready', () => reload());               // signed in, for the first time or again
 *     chat.on('event', (event) => show(event));       // {type, chat_id, id, prev_id, …}
 *     await chat.logIn({ user_name: 'ada', password: 'correct horse', device_name: 'laptop' });
 *     const page = await chat.call('list_chats', { page_size: 50 });
 *     await chat.call('send_message', { chat_id: page.rows[0].id, body: 'Hello', client_key: newKey() });
 *
 * new ChatClient({url, token, cursor, timeout, heartbeat, WebSocket})
 *     url        ws:// or wss:// address of /ws; default: the one of this page's origin
 *     token      session token of an earlier log_in
 *     cursor     .cursor of then: what has happened since comes as events. Keep both to be as if never away
 *     timeout    ms until call() gives up, waiting and repeating included; default 30,000; 0 = never
 *     heartbeat  ms of silence after which the connection is tested; default 25,000
 *     WebSocket  the constructor to use; default globalThis.WebSocket
 * call(method, params, {timeout, repeat}) → Promise of the result; rejects with a ChatError.
 *     Calls wait for the connection and for the login that is under way; without a token only those are possible that
 *     need none. Calls leave in order, but only those that name the same chat are worked off in order.
 *     repeat: the call may be sent again when its outcome is unknown (the connection broke) or the server asks to
 *     try later. Default: true for what only reads and for what carries a client_key, false for all others.
 * logIn(params) → answer of log_in. The token stays in .token: keep it to be signed in again later.
 * authenticate(token) → answer of authenticate: {user_id, session_id, expires_at}.
 * logOut() ends the session. When there is no connection, it only forgets the token.
 * connect() connects, or does so now when the client is waiting to. close() disconnects and stays so.
 * on(name, handler) → a function that takes the handler off again. Names:
 *     state         the new .state
 *     ready         signed in: after log_in, authenticate, and after each reconnection. With a cursor what was missed in
 *                   between follows as events; without one (a first login) read what is to be shown
 *     event         one event of the server. Those of one chat come in order, once and without a gap; of a record with a
 *                   version none older than one that came before
 *     notification  {method, params}: any other push. `reset`: too much was missed, read everything again;
 *                   `chat_reset` {chat_id}: the same for one chat; `synced`: what was missed has come
 *     signed_out    ChatError: the token is gone (logged out, revoked, expired, refused)
 * ChatError: message (for people), code (HTTP-like or JSON-RPC), reason (one word for machines), hint, retryAfter (ms).
 *     Reasons made here, not by the server: unreachable, connection_lost, timeout (503), signed_out, session_revoked,
 *     session_expired (401), closed, logged_out (0).
 * newKey() → a client_key. compareIds(a, b) orders ids: they are decimal strings, too long for a Number.
 *
 * States:   idle ──connect──▶ connecting ──socket open──▶ open ──log_in, authenticate──▶ ready
 *             ▲                │  ▲                        │                              │
 *             │   lost, token  │  └───timer, online────┐   │ lost                         │ lost
 *             │    or waiters  ▼                       │   ▼                              ▼
 *             └──nothing to wait for──────────────── waiting ◀────────────────────────────┘
 *
 * Reconnection waits 0.4 s · 2ⁿ, at most 20 s, half of it random, so that a restarted gateway is not stormed; what
 * the gateway itself asks for (close 1001 with retry_after_ms) is taken instead. The count starts anew once ready.
 * What was missed: .cursor says up to where everything has come; it is given with the token when a connection is
 * made anew. `resync` (the server had to drop events) is answered with sync from the cursor; as long as that is under way
 * the cursor stays, so that when it fails the next connection begins there. An event whose prev_id is newer than the last
 * one of its chat is kept back until list_events has brought what lies between; so long the cursor stays, too.
 * Invariants: a #calls entry is settled exactly once and leaves the map then. Everything about a socket is guarded by
 * `socket === this.#socket`: a dropped socket's late callbacks do nothing.
 */

const ANONYMOUS = new Set(['authenticate', 'log_in', 'register_user', 'ping', 'discover']);
const READS = /^(get|list|search|read)_|^(discover|ping|sync)$/;
const MAX_IN_FLIGHT = 16;       // the gateway allows 32 a socket
const OPEN_TIMEOUT = 10000;     // ms for the WebSocket to open
const PING_TIMEOUT = 8000;      // ms for a ping to be answered, or anything to come
const BACKOFF_FIRST = 400;
const BACKOFF_MOST = 20000;
// What a state event is about: the members that tell one record from another.
const RECORDS = {
	read: ['chat_id', 'user_id'],
	delivered: ['chat_id', 'user_id'],
	connection_changed: ['target_user_id'],
	profile_changed: [],
	chat_prefs_changed: ['chat_id'],
	draft_changed: ['chat_id'],
};
const CLOSE_GOING_AWAY = 1001;
const CLOSE_REVOKED = 4003;
const CLOSE_EXPIRED = 4009;
const CLOSE_OVER_LIMIT = 4029;

export class ChatError extends Error
{
	constructor(code, message, data)
	{
		super(message);
		this.name = 'ChatError';
		this.code = code;
		this.reason = data?.reason ?? null;
		this.hint = data?.hint ?? null;
		this.retryAfter = data?.retry_after_ms ?? null;
	}
}

// Whether the same call may succeed in a moment. A 429 that names no time is a limit that waiting alone does not lift.
function isPassing({ code, data })
{
	return code === 503 || (code === 429 && data?.retry_after_ms > 0);
}

export function compareIds(a, b)
{
	a = String(a);
	b = String(b);
	return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

// randomUUID exists only in secure contexts; a gateway on plain http in a local network is none.
export function newKey()
{
	if (globalThis.crypto.randomUUID)
		return globalThis.crypto.randomUUID();
	const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class ChatClient
{
	#url;
	#WebSocket;
	#timeout;
	#heartbeat;
	#handlers = new Map();      // name → Set of functions
	#calls = new Map();         // request id → entry, in the order of call()
	#nextId = 1;
	#inFlight = 0;              // entries with sent = true
	#arrivals = [];             // {resolve, reject} of authenticate() without a connection
	#socket = null;
	#openTimer = null;
	#beatTimer = null;
	#retryTimer = null;
	#heardAt = 0;               // when the last frame came, ms
	#attempts = 0;              // failed connections since last ready
	#wanted = false;            // connect() was called, close() was not
	#lastIds = new Map();       // chat id → id of its last event that was emitted
	#gaps = new Map();          // chat id → events that wait until what lies before them has come
	#versions = new Map();      // record → greatest version emitted
	#syncing = false;           // `resync` is being answered

	state = 'idle';
	token = null;               // session token; null = signed out
	cursor = null;              // all events up to this id have come
	session = null;             // {user_id, session_id, expires_at} of the present login

	constructor({ url, token = null, cursor = null, timeout = 30000, heartbeat = 25000, WebSocket = globalThis.WebSocket } = {})
	{
		this.#url = url ?? new URL('/ws', globalThis.location.href).href.replace(/^http/, 'ws');
		this.#WebSocket = WebSocket;
		this.#timeout = timeout;
		this.#heartbeat = heartbeat;
		this.token = token;
		this.cursor = cursor;
		// A network that came back, or a laptop that woke up, should not wait for a timer.
		globalThis.addEventListener?.('online', () => this.#hurry());
		globalThis.document?.addEventListener('visibilitychange', () => this.#hurry());
	}

	on(name, handler)
	{
		if (!this.#handlers.has(name))
			this.#handlers.set(name, new Set());
		this.#handlers.get(name).add(handler);
		return () => this.#handlers.get(name).delete(handler);
	}

	connect()
	{
		this.#wanted = true;
		if (this.state === 'idle' || this.state === 'waiting')
			this.#open();
	}

	close()
	{
		this.#wanted = false;
		this.#attempts = 0;
		this.#drop();
		this.#setState('idle');
		this.#rejectAll(new ChatError(0, 'the client was closed', { reason: 'closed' }));
	}

	call(method, params = {}, { timeout = this.#timeout, repeat } = {})
	{
		return new Promise((resolve, reject) => {
			const entry = {
				id: this.#nextId++,
				method,
				params,
				resolve,
				reject,
				anonymous: ANONYMOUS.has(method),
				repeat: repeat ?? (READS.test(method) || params.client_key != null),
				sent: false,        // on the present socket, not answered yet
				again: null,        // timer until which a repeated call is held back
				attempts: 0,
				timer: null,
			};
			if (!entry.anonymous && this.token === null)
			{
				reject(new ChatError(401, 'not signed in', { reason: 'signed_out', hint: 'Log in first.' }));
				return;
			}
			if (timeout > 0)
				entry.timer = setTimeout(() => this.#expire(entry), timeout);
			this.#calls.set(entry.id, entry);
			this.connect();
			this.#pump();
		});
	}

	async logIn(params)
	{
		if (this.token !== null)
			this.close();
		this.#forgetSession();
		const answer = await this.call('log_in', params, { repeat: false });
		this.token = answer.token;
		this.#becomeReady(answer);
		return answer;
	}

	async authenticate(token)
	{
		if (token !== this.token)
			this.#forgetEvents();
		this.token = token;
		if (this.state === 'open' || this.state === 'ready')
			return this.#authenticate();
		return new Promise((resolve, reject) => {
			this.#arrivals.push({ resolve, reject });
			this.connect();
		});
	}

	async logOut()
	{
		if (this.state === 'ready')
			await this.call('log_out', {}, { timeout: 5000, repeat: false }).catch(() => {});
		this.#signOut(new ChatError(0, 'you have logged out', { reason: 'logged_out' }));
	}

	/* ---- connection ---- */

	#open()
	{
		clearTimeout(this.#retryTimer);
		this.#setState('connecting');
		let socket;
		try
		{
			socket = new this.#WebSocket(this.#url, ['chat.v1']);
		}
		catch (error)
		{
			this.#lost(0, error.message);
			return;
		}
		this.#socket = socket;
		this.#openTimer = setTimeout(() => this.#lost(0, 'no answer'), OPEN_TIMEOUT);
		socket.onopen = () => socket === this.#socket && this.#opened();
		socket.onmessage = (message) => socket === this.#socket && this.#received(message.data);
		socket.onerror = () => {};  // always followed by close
		socket.onclose = (close) => socket === this.#socket && this.#lost(close.code, close.reason);
	}

	#opened()
	{
		clearTimeout(this.#openTimer);
		this.#setState('open');
		this.#beat();
		if (this.token)
			this.#authenticate().catch(() => {});
		this.#pump();
	}

	async #authenticate()
	{
		const { token } = this;
		const socket = this.#socket;
		try
		{
			const since = this.cursor === null ? {} : { since: this.cursor };
			const session = await this.call('authenticate', { token, ...since }, { timeout: OPEN_TIMEOUT, repeat: false });
			if (this.token === token && socket === this.#socket)
				this.#becomeReady(session);
			return session;
		}
		catch (error)
		{
			if (error.reason === 'bad_cursor' && this.cursor !== null && this.token === token && socket === this.#socket)
				return this.#beginAnew();
			const refused = error.code >= 400 && error.code < 500 && error.code !== 429;
			if (this.token === token && refused)
				this.#signOut(error);
			else if (socket === this.#socket)
				this.#lost(0, error.message, error.retryAfter);
			throw error;
		}
	}

	// The server knows our cursor to be wrong: what has come since is unknown.
	async #beginAnew()
	{
		this.#forgetEvents();
		const session = await this.#authenticate();
		this.#told('reset', {});
		return session;
	}

	#becomeReady({ user_id, session_id, expires_at, cursor })
	{
		this.#attempts = 0;
		this.session = { user_id, session_id, expires_at };
		this.cursor ??= cursor ?? null;
		this.#setState('ready');
		this.#arrivals.splice(0).forEach(({ resolve }) => resolve(this.session));
		this.#emit('ready', this.session);
		this.#pump();
	}

	#forgetSession()
	{
		if (this.token === null)
			return;
		this.token = null;
		this.session = null;
		this.#forgetEvents();
		this.#drop();
		this.#setState('idle');
	}

	#forgetEvents()
	{
		this.cursor = null;
		this.#lastIds.clear();
		this.#gaps.clear();
		this.#versions.clear();
	}

	#signOut(error)
	{
		const signedIn = this.token !== null;
		this.#wanted = false;
		this.#forgetSession();
		this.#rejectAll(error);
		if (signedIn)
			this.#emit('signed_out', error);
	}

	// The one place where a connection ends that was not ended on purpose.
	#lost(code, reason, retryAfter = null)
	{
		const wasOpen = this.state === 'open' || this.state === 'ready';
		this.#drop();
		if (this.token && (code === CLOSE_REVOKED || code === CLOSE_EXPIRED))
		{
			const revoked = code === CLOSE_REVOKED;
			this.#signOut(new ChatError(401, revoked ? 'this session was ended' : 'the login has expired',
				{ reason: revoked ? 'session_revoked' : 'session_expired', hint: 'Log in again.' }));
			return;
		}
		for (const entry of [...this.#calls.values()])
		{
			if (entry.sent && !entry.repeat)
				this.#settle(entry, new ChatError(503, 'the connection was lost before the answer came',
					{ reason: 'connection_lost', hint: 'The call may or may not have been carried out.' }));
			else if (!entry.sent && entry.anonymous && !wasOpen)
				this.#settle(entry, new ChatError(503, 'the server cannot be reached',
					{ reason: 'unreachable', hint: 'Check your connection and try again.' }));
			entry.sent = false;
		}
		this.#inFlight = 0;
		if (!this.#wanted || (!this.token && this.#calls.size === 0))
		{
			this.#setState('idle');
			return;
		}
		this.#setState('waiting');
		clearTimeout(this.#retryTimer);
		this.#retryTimer = setTimeout(() => this.#open(), this.#backoff(code, reason, retryAfter));
	}

	#backoff(code, reason, retryAfter)
	{
		if (code === CLOSE_GOING_AWAY)
		{
			try
			{
				retryAfter = JSON.parse(reason).retry_after_ms;
			}
			catch
			{
				// no reason given: the usual wait
			}
		}
		if (code === CLOSE_OVER_LIMIT)
			this.#attempts = Math.max(this.#attempts, 4);
		const wait = Math.min(BACKOFF_FIRST * 2 ** this.#attempts++, BACKOFF_MOST);
		const least = Number.isFinite(retryAfter) ? Math.min(Math.max(retryAfter, 0), 60000) : wait / 2;
		return least + Math.random() * wait / 2;
	}

	// Lets go of the socket without waiting for the closing handshake, which a dead network never ends.
	#drop()
	{
		const socket = this.#socket;
		this.#socket = null;
		this.#syncing = false;
		this.#gaps.clear();
		clearTimeout(this.#openTimer);
		clearTimeout(this.#beatTimer);
		clearTimeout(this.#retryTimer);
		if (socket && socket.readyState < 2)
			socket.close(1000);
	}

	#hurry()
	{
		if (globalThis.document?.visibilityState === 'hidden')
			return;
		if (this.state === 'waiting')
			this.#open();
		else if (this.state === 'ready')
			this.#ping();
	}

	#beat()
	{
		clearTimeout(this.#beatTimer);
		this.#beatTimer = setTimeout(() => this.#ping(), this.#heartbeat);
	}

	#ping()
	{
		const socket = this.#socket;
		const since = Date.now();
		clearTimeout(this.#beatTimer);
		this.call('ping', {}, { timeout: Math.min(PING_TIMEOUT, this.#heartbeat), repeat: false }).catch((error) => {
			if (error.reason === 'timeout' && socket === this.#socket && this.#heardAt < since)
				this.#lost(0, 'no answer to ping');
		});
	}

	/* ---- calls ---- */

	#pump()
	{
		if (this.state !== 'open' && this.state !== 'ready')
			return;
		for (const entry of this.#calls.values())
		{
			if (this.#inFlight >= MAX_IN_FLIGHT)
				break;
			if (!entry.sent && !entry.again && (entry.anonymous || this.state === 'ready'))
			{
				entry.sent = true;
				this.#inFlight++;
				this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id: entry.id, method: entry.method, params: entry.params }));
			}
		}
	}

	#settle(entry, error, result)
	{
		if (!this.#calls.delete(entry.id))
			return;
		clearTimeout(entry.timer);
		clearTimeout(entry.again);
		if (entry.sent)
			this.#inFlight--;
		entry.sent = false;
		if (error)
			entry.reject(error);
		else
			entry.resolve(result);
	}

	#rejectAll(error)
	{
		for (const entry of [...this.#calls.values()])
			this.#settle(entry, error);
		this.#arrivals.splice(0).forEach(({ reject }) => reject(error));
	}

	#expire(entry)
	{
		this.#settle(entry, new ChatError(503, 'the server did not answer in time', { reason: 'timeout' }));
		this.#pump();
	}

	#answered(answer)
	{
		const entry = this.#calls.get(answer.id);
		if (!entry?.sent)
			return;
		const { error } = answer;
		if (!error)
		{
			this.#settle(entry, null, answer.result);
		}
		else if (entry.repeat && isPassing(error))
		{
			entry.sent = false;
			this.#inFlight--;
			const wait = error.data?.retry_after_ms ?? Math.min(BACKOFF_FIRST * 2 ** entry.attempts++, BACKOFF_MOST);
			entry.again = setTimeout(() => { entry.again = null; this.#pump(); }, wait * (1 + Math.random() / 2));
		}
		else
		{
			this.#settle(entry, new ChatError(error.code, error.message, error.data));
			if (error.code === 401 && error.data?.reason !== 'bad_credentials' && this.state === 'ready' && !entry.anonymous)
				this.#lost(0, 'not authenticated');
		}
		this.#pump();
	}

	#received(text)
	{
		this.#heardAt = Date.now();
		this.#beat();
		let messages;
		try
		{
			messages = [].concat(JSON.parse(text));
		}
		catch (error)
		{
			console.error('chat: not JSON', error);
			return;
		}
		for (const message of messages)
		{
			if (message.method === 'event')
				this.#arrived(message.params);
			else if (message.method !== undefined)
				this.#told(message.method, message.params ?? null);
			else if (message.id != null)
				this.#answered(message);
			else
				console.error('chat: the server could not read a request', message.error);
		}
	}

	/* ---- events ---- */

	#arrived(event)
	{
		const { chat_id, id, prev_id } = event;
		if (prev_id === undefined)
		{
			if (this.#isNews(event))
				this.#emit('event', event);
			return;
		}
		const last = this.#lastIds.get(chat_id);
		if (this.#gaps.has(chat_id))
			this.#gaps.get(chat_id).push(event);
		else if (last !== undefined && compareIds(prev_id, last) > 0)
			this.#fillGap(chat_id, last, event);
		else if (last === undefined || compareIds(id, last) > 0)
			this.#pass(event);
	}

	#pass(event)
	{
		this.#lastIds.set(event.chat_id, event.id);
		this.#emit('event', event);
	}

	// Whether no later version of the record has come.
	#isNews(event)
	{
		const members = RECORDS[event.type];
		if (!members || event.version == null)
			return true;
		const record = [event.type, ...members.map((member) => event[member])].join(' ');
		const known = this.#versions.get(record);
		if (known !== undefined && compareIds(event.version, known) < 0)
			return false;
		this.#versions.set(record, event.version);
		return true;
	}

	// What list_events does not have any more was erased: its end, or the event itself, is then the last one.
	async #fillGap(chat_id, after_id, event)
	{
		const waiting = [event];
		this.#gaps.set(chat_id, waiting);
		try
		{
			for (let page = { has_more: true }; page.has_more; after_id = page.rows.at(-1)?.id ?? after_id)
			{
				page = await this.call('list_events', { chat_id, after_id });
				if (this.#gaps.get(chat_id) !== waiting)
					return;
				page.rows.forEach((row) => this.#pass(row.event));
			}
		}
		catch (error)
		{
			if (this.#gaps.get(chat_id) !== waiting)
				return;
			if (error.code !== 404)
			{
				this.#lost(0, error.message);   // the next connection begins at the cursor
				return;
			}
		}
		this.#gaps.delete(chat_id);
		waiting.sort((a, b) => compareIds(a.id, b.id)).filter(({ id }) => compareIds(id, this.#lastIds.get(chat_id)) > 0)
			.forEach((late) => this.#pass(late));
	}

	#told(method, params)
	{
		if (method === 'cursor' || method === 'synced')
		{
			if (!this.#syncing && !this.#gaps.size && (this.cursor === null || compareIds(params.cursor, this.cursor) > 0))
				this.cursor = params.cursor;
		}
		else if (method === 'resync')
			this.#resync();
		else if (method === 'chat_reset')
			this.#lastIds.delete(params.chat_id);
		else if (method === 'reset')
			this.#lastIds.clear();
		if (method !== 'resync')
			this.#emit('notification', { method, params });
	}

	// The server has dropped events for us.
	async #resync()
	{
		const socket = this.#socket;
		if (this.#syncing)
			return;
		this.#syncing = true;
		try
		{
			for (let page = { has_more: true }; page.has_more && socket === this.#socket;)
			{
				page = await this.call('sync', { since: this.cursor });
				if (socket !== this.#socket)
					return;
				if (page.reset)
					this.#told('reset', {});
				for (const event of [...page.events, ...page.state])
					event.type === 'chat_reset' ? this.#told('chat_reset', { chat_id: event.chat_id }) : this.#arrived(event);
				this.cursor = page.cursor;
			}
			this.#syncing = false;
			this.#emit('notification', { method: 'synced', params: { cursor: this.cursor } });
		}
		catch (error)
		{
			if (socket === this.#socket)
				this.#lost(0, error.message);
		}
	}

	#setState(state)
	{
		if (state === this.state)
			return;
		this.state = state;
		this.#emit('state', state);
	}

	// A handler that throws must not keep others, or the connection, from going on.
	#emit(name, value)
	{
		for (const handler of [...this.#handlers.get(name) ?? []])
		{
			try
			{
				handler(value);
			}
			catch (error)
			{
				console.error(`chat: handler of ${name} failed`, error);
			}
		}
	}
}
