// SPDX-License-Identifier: PostgreSQL
// chat.js alone, without browser or database: a server of a few lines plays what a gateway can do to a client.

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { sleep, until, within } from '../e2e/harness.js';

globalThis.crypto ??= webcrypto; // Node.js 18 has none of that name

// Node takes a .js file for a module only when a package.json says so; browsers need none, and so there is none.
const folder = await mkdtemp(join(tmpdir(), 'chat-'));
await copyFile(new URL('../../web/chat.js', import.meta.url), join(folder, 'chat.mjs'));
const { ChatClient, ChatError, compareIds, newKey } = await import(join(folder, 'chat.mjs'));
await rm(folder, { recursive: true });

describe('chat.js', () => {
	let server;
	let url;
	let answers;   // method → (params, socket) → result, an Error-like {code} to fail with, or undefined: no answer
	let heard;     // every request, in order
	const clients = [];

	before(async () => {
		server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'chat.v1' });
		await once(server, 'listening');
		url = `ws://127.0.0.1:${server.address().port}/ws`;
		server.on('connection', socket => socket.on('message', data => {
			const { id, method, params } = JSON.parse(data);
			heard.push({ method, params, id });
			const answer = answers[method]?.(params, socket);
			if (answer?.code)
				socket.send(JSON.stringify({ jsonrpc: '2.0', id, error: answer }));
			else if (answer !== undefined)
				socket.send(JSON.stringify({ jsonrpc: '2.0', id, result: answer }));
		}));
	});

	beforeEach(() => {
		heard = [];
		answers = {
			ping: () => null,
			log_in: () => ({ token: 'secret', user_id: '1', session_id: '2', expires_at: null }),
			authenticate: ({ token }) => (token === 'secret' ? { user_id: '1', session_id: '2', expires_at: null }
				: { code: 401, message: 'the token is not valid', data: { reason: 'bad_token', hint: 'Log in.' } }),
			log_out: () => null,
			get_profile: () => ({ id: '1' })
		};
	});

	after(() => {
		clients.forEach(client => client.close());
		server.clients.forEach(socket => socket.terminate());
		server.close();
	});

	function make(options = {})
	{
		const client = new ChatClient({ url, token: 'secret', WebSocket, ...options });
		clients.push(client);
		client.seen = [];
		client.on('state', state => client.seen.push(state));
		return client;
	}

	const fails = promise => within(promise.then(() => assert.fail('an error was due'), error => error), 'error');
	const methods = () => heard.map(({ method }) => method);
	const cut = (code = 1012, reason = '') => server.clients.forEach(socket => socket.close(code, reason));

	test('signs in with its token before anything else, and answers calls', async () => {
		const client = make();
		assert.deepEqual(await client.call('get_profile'), { id: '1' });
		assert.deepEqual(methods(), ['authenticate', 'get_profile']);
		assert.deepEqual(client.seen, ['connecting', 'open', 'ready']);
		assert.equal(client.session.user_id, '1');
		client.close();
		assert.equal(client.state, 'idle');
	});

	test('without a token only what needs none is possible; logging in gives one', async () => {
		const client = make({ token: null });
		assert.equal((await fails(client.call('get_profile'))).reason, 'signed_out');
		await client.logIn({ user_name: 'ada', password: 'x' });
		assert.equal(client.token, 'secret');
		assert.deepEqual(await client.call('get_profile'), { id: '1' });
		await client.logOut();
		assert.equal(client.token, null);
		assert.deepEqual(methods(), ['log_in', 'get_profile', 'log_out']);
	});

	test('errors keep code, reason and hint', async () => {
		const client = make();
		answers.open_it = () => ({ code: 404, message: 'no such chat', data: { reason: 'no_such_chat', hint: 'Look again.' } });
		const error = await fails(client.call('open_it'));
		assert.ok(error instanceof ChatError);
		assert.deepEqual([error.code, error.reason, error.message, error.hint], [404, 'no_such_chat', 'no such chat', 'Look again.']);
		client.close();
	});

	test('a refused token signs out, and is not tried again', async () => {
		const client = make({ token: 'old' });
		const out = new Promise(resolve => client.on('signed_out', resolve));
		assert.equal((await fails(client.call('get_profile'))).reason, 'bad_token');
		assert.equal((await out).reason, 'bad_token');
		assert.deepEqual([client.token, client.state], [null, 'idle']);
		assert.deepEqual(methods(), ['authenticate']);
		assert.equal((await fails(client.authenticate('older'))).reason, 'bad_token');
	});

	test('a cursor that the server refuses is given up, not the session, and everything is to be read again', async () => {
		const client = make({ cursor: '9223372036854775807' });
		const told = [];
		client.on('notification', ({ method }) => told.push(method));
		const { authenticate } = answers;
		answers.authenticate = params => (params.since ? { code: 400, message: 'that is no cursor', data: { reason: 'bad_cursor', parameter: 'since' } }
			: { ...authenticate(params), cursor: '77' });
		assert.deepEqual(await client.call('get_profile'), { id: '1' });
		assert.deepEqual([client.token, client.cursor, client.state], ['secret', '77', 'ready']);
		await until(() => told.length, 'reset');
		assert.deepEqual(told, ['reset']);
		assert.deepEqual(heard.map(({ method, params }) => [method, params.since]),
			[['authenticate', '9223372036854775807'], ['authenticate', undefined], ['get_profile', undefined]]);
		client.close();
	});

	test('a revoked session signs out; an overloaded gateway does not', async () => {
		const client = make();
		const out = new Promise(resolve => client.on('signed_out', resolve));
		await client.call('get_profile');
		answers.authenticate = () => ({ code: 503, message: 'try later', data: { reason: 'unavailable', retry_after_ms: 20 } });
		cut(1012);
		await until(() => client.seen.filter(state => state === 'waiting').length >= 3, 'several attempts');
		assert.equal(client.token, 'secret');
		answers.authenticate = () => ({ user_id: '1', session_id: '2', expires_at: null });
		client.connect();
		await until(() => client.state === 'ready', 'ready');
		cut(4003);
		assert.equal((await within(out, 'signed out')).reason, 'session_revoked');
		assert.equal(client.token, null);
	});

	test('a lost connection: what may be repeated is, all else fails with connection_lost', async () => {
		const client = make();
		let cuts = 0;
		answers.send_message = () => (cuts++ === 0 ? cut() : { id: '7', duplicate: cuts > 1 });
		answers.rename_it = () => undefined;
		const ready = [];
		client.on('ready', session => ready.push(session));
		const unsafe = client.call('rename_it');
		const safe = client.call('send_message', { chat_id: '3', body: 'x', client_key: newKey() });
		assert.equal((await fails(unsafe)).reason, 'connection_lost');
		assert.deepEqual(await safe, { id: '7', duplicate: true });
		assert.equal(ready.length, 2);
		assert.deepEqual(methods().filter(method => method !== 'ping'),
			['authenticate', 'rename_it', 'send_message', 'authenticate', 'send_message']);
		client.close();
	});

	test('waits as long as a draining gateway asks for', async () => {
		const client = make();
		await client.call('get_profile');
		const start = Date.now();
		cut(1001, '{"retry_after_ms":700}');
		await until(() => client.state === 'waiting', 'waiting');
		await until(() => client.state === 'ready', 'ready');
		assert.ok(Date.now() - start >= 690);
		client.close();
	});

	test('try-later answers are repeated for what may be repeated, after the time asked for', async () => {
		const client = make();
		let calls = 0;
		answers.list_chats = () => (++calls < 3 ? { code: 503, message: 'busy', data: { reason: 'chat_busy', retry_after_ms: 30 } } : { rows: [] });
		assert.deepEqual(await client.call('list_chats'), { rows: [] });
		answers.rename_it = () => ({ code: 503, message: 'busy', data: { reason: 'chat_busy' } });
		assert.equal((await fails(client.call('rename_it'))).reason, 'chat_busy');
		answers.list_chats = () => ({ code: 429, message: 'slowly', data: { retry_after_ms: 60 } });
		assert.equal((await fails(client.call('list_chats', {}, { timeout: 200 }))).reason, 'timeout');
		answers.list_chats = () => ({ code: 429, message: 'enough', data: { reason: 'too_many_chats' } });
		assert.equal((await fails(client.call('list_chats', {}, { timeout: 10000 }))).reason, 'too_many_chats');
		client.close();
	});

	test('no more than 16 calls at once, the others after them, in order', async () => {
		const client = make();
		await client.call('get_profile');
		answers.get_it = () => undefined;
		const calls = Array.from({ length: 40 }, (_, n) => client.call('get_it', { n }));
		const asked = () => heard.filter(({ method }) => method === 'get_it');
		await until(() => asked().length >= 16, 'sixteen');
		await sleep(50);
		assert.equal(asked().length, 16);
		answers.get_it = ({ n }) => n;
		for (const { id, params } of asked().slice(0, 16))
			server.clients.forEach(socket => socket.send(JSON.stringify({ jsonrpc: '2.0', id, result: params.n })));
		assert.deepEqual(await Promise.all(calls), Array.from({ length: 40 }, (_, n) => n));
		assert.deepEqual(asked().map(({ params }) => params.n), Array.from({ length: 40 }, (_, n) => n));
		client.close();
	});

	test('silence is tested with a ping; events count as life; a handler that throws harms nobody', async () => {
		const client = make({ heartbeat: 60 });
		await client.call('get_profile');
		await until(() => methods().filter(method => method === 'ping').length >= 2, 'two pings');
		const events = [];
		const error = console.error;
		console.error = () => {};
		client.on('event', () => { throw new Error('mine'); });
		const off = client.on('event', event => events.push(event.id));
		const push = message => server.clients.forEach(socket => socket.send(JSON.stringify({ jsonrpc: '2.0', ...message })));
		push({ method: 'event', params: { type: 'message', id: '5' } });
		await until(() => events.length, 'event');
		off();
		const notices = [];
		client.on('notification', notice => notices.push(notice));
		push({ method: 'event', params: { type: 'message', id: '6' } });
		push({ method: 'other' });
		await until(() => notices.length, 'a notification');
		console.error = error;
		assert.deepEqual([events, notices], [['5'], [{ method: 'other', params: null }]]);
		client.close();
	});

	// What the client emitted, in order: ids and versions of events, names of notifications.
	const follow = client => {
		const log = [];
		client.on('event', ({ id, version }) => log.push(id ?? `v${version}`));
		client.on('notification', ({ method }) => log.push(method));
		return log;
	};
	const push = (method, params) => server.clients.forEach(socket => socket.send(JSON.stringify({ jsonrpc: '2.0', method, params })));
	const event = (id, prev_id, chat_id = '7') => ({ type: 'message', chat_id, id, prev_id });
	const sinces = () => heard.filter(({ method }) => method === 'authenticate').map(({ params }) => params.since);

	test('the cursor is kept, and given with the token when it connects again', async () => {
		answers.authenticate = () => ({ user_id: '1', session_id: '2', expires_at: null, cursor: '100' });
		const client = make();
		const log = follow(client);
		await client.call('get_profile');
		assert.equal(client.cursor, '100');
		push('cursor', { cursor: '90' });
		push('cursor', { cursor: '120' });
		await until(() => log.length === 2, 'cursors');
		cut();
		await until(() => sinces().length === 2, 'again');
		push('synced', { cursor: '130' });
		await until(() => client.cursor === '130', 'synced');
		assert.deepEqual(sinces(), [undefined, '120']);
		await client.logOut();
		assert.equal(client.cursor, null);
		const kept = make({ cursor: '55' });
		await kept.call('get_profile');
		assert.equal(sinces().at(-1), '55');
		kept.close();
	});

	test('events come once and in order; of a record no older version', async () => {
		const client = make();
		const log = follow(client);
		await client.call('get_profile');
		for (const one of [event('10', '4'), event('11', '10'), event('10', '4'), event('12', '11'), event('11', '10'), event('5', '1', '8')])
			push('event', one);
		for (const version of ['20', '22', '21', '22'])
			push('event', { type: 'read', chat_id: '7', user_id: '1', version });
		push('event', { type: 'read', chat_id: '7', user_id: '2', version: '21' });
		push('end');
		await until(() => log.includes('end'), 'end');
		assert.deepEqual(log, ['10', '11', '12', '5', 'v20', 'v22', 'v22', 'v21', 'end']);
		client.close();
	});

	test('a gap is filled by list_events before anything newer of the chat is shown; the cursor waits', async () => {
		const client = make({ cursor: '1' });
		const log = follow(client);
		await client.call('get_profile');
		answers.list_events = ({ after_id }) => ({ rows: after_id === '10' ? [{ id: '11', event: event('11', '10') }] : [{ id: '12', event: event('12', '11') }],
			has_more: after_id === '10' });
		push('event', event('10', '4'));
		push('event', event('13', '12'));
		push('cursor', { cursor: '13' });
		push('event', event('14', '13'));
		push('event', event('6', '5', '8'));
		await until(() => log.includes('14'), 'the last one');
		assert.deepEqual(log.filter(id => id !== '6' && id !== 'cursor'), ['10', '11', '12', '13', '14']);
		assert.equal(client.cursor, '1');
		push('cursor', { cursor: '14' });
		await until(() => client.cursor === '14', 'cursor');
		client.close();
	});

	test('a gap that cannot be filled now: the next connection begins at the cursor', async () => {
		const client = make({ cursor: '9' });
		const log = follow(client);
		await client.call('get_profile');
		answers.list_events = () => ({ code: 500, message: 'no' });
		push('event', event('10', '4'));
		push('event', event('13', '12'));
		await until(() => sinces().length === 2, 'again');
		assert.deepEqual([sinces(), log], [['9', '9'], ['10']]);
		for (const one of [event('10', '4'), event('12', '10'), event('13', '12')])
			push('event', one);
		await until(() => log.length === 3, 'all');
		assert.deepEqual(log, ['10', '12', '13']);
		client.close();
	});

	test('resync is answered by sync from the cursor; cursors that come meanwhile do not count', async () => {
		const client = make({ cursor: '9' });
		const log = follow(client);
		await client.call('get_profile');
		answers.sync = ({ since }) => {
			push('cursor', { cursor: '99' });
			return since === '9' ? { events: [event('10', '4')], state: [{ type: 'read', chat_id: '7', user_id: '1', version: '10' }], cursor: '10', has_more: true, reset: false }
				: { events: [{ type: 'chat_reset', chat_id: '7' }, event('40', '39')], state: [], cursor: '40', has_more: false, reset: false };
		};
		push('resync', {});
		await until(() => log.includes('synced'), 'synced');
		assert.deepEqual(log.filter(name => name !== 'cursor'), ['10', 'v10', 'chat_reset', '40', 'synced']);
		assert.deepEqual(heard.filter(({ method }) => method === 'sync').map(({ params }) => params.since), ['9', '10']);
		assert.equal(client.cursor, '40');
		answers.sync = () => ({ code: 500, message: 'no' });
		push('resync', {});
		await until(() => sinces().length === 2, 'again');
		assert.equal(sinces().at(-1), '40');
		client.close();
	});

	test('a connection on which nothing comes any more is given up, and made anew', async () => {
		const client = make({ heartbeat: 80 });
		await client.call('get_profile');
		answers.ping = () => undefined;
		await until(() => client.seen.includes('waiting'), 'given up');
		answers.ping = () => null;
		await until(() => client.state === 'ready', 'ready');
		client.close();
	});

	test('nobody there: logging in fails at once, what waits for the token waits', async () => {
		const nowhere = 'ws://127.0.0.1:9/ws';
		const error = await fails(make({ token: null, url: nowhere }).logIn({ user_name: 'ada', password: 'x' }));
		assert.equal(error.reason, 'unreachable');
		const client = make({ url: nowhere });
		assert.equal((await fails(client.call('get_profile', {}, { timeout: 150 }))).reason, 'timeout');
		client.close();
		assert.equal((await fails(Promise.all([client.call('get_profile'), Promise.resolve().then(() => client.close())]))).reason, 'closed');
	});

	test('ids compare as numbers, beyond what a Number can hold', () => {
		const sorted = ['9', '10', '249515293938810880', '249515293938810881', '9223372036854775807'];
		assert.deepEqual([...sorted].reverse().sort(compareIds), sorted);
		assert.equal(compareIds('7', 7), 0);
		assert.notEqual(newKey(), newKey());
	});
});
