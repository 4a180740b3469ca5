// SPDX-License-Identifier: PostgreSQL
// POST /rpc: JSON-RPC over HTTP, what refuses it, and what hostile requests do to the connection.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Raw } from './raw.js';
import { Relay, sleep, unique, until, within, World } from './harness.js';

let world;
let alice;

const json = 'Content-Type: application/json\r\n';
const posted = (body, more = '') => `POST /rpc HTTP/1.1\r\nHost: x\r\n${json}${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

const post = async (body, { token, type = 'application/json', port = world.port } = {}) => {
	const headers = { 'Content-Type': type };
	if (token)
		headers.Authorization = `Bearer ${token}`;
	const response = await fetch(`http://127.0.0.1:${port}/rpc`, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });
	const text = await response.text();
	return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : undefined };
};
const call = (method, params, id = 1) => ({ jsonrpc: '2.0', id, method, params });

before(async () => {
	world = await World.start();
	alice = await world.user('alice');
});
after(() => world.stop());

describe('calls by POST', () => {
	test('with a token, as on a socket', async () => {
		const { status, headers, body } = await post(call('get_profile'), alice);
		assert.equal(status, 200);
		assert.match(headers.get('content-type'), /^application\/json/);
		assert.equal(headers.get('cache-control'), 'no-store');
		assert.equal(body.result.id, alice.id);
		assert.equal((await post(call('list_sessions'), alice)).body.result.filter(one => one.is_current)[0].id, alice.session_id);
	});

	test('a failed call is 200 with its error', async () => {
		const { status, body } = await post(call('get_chat', { chat_id: '1' }), alice);
		assert.equal(status, 200);
		assert.equal(body.error.data.reason, 'no_such_chat');
	});

	test('without a token: what is for anybody', async () => {
		const name = unique('new');
		const { body: made } = await post(call('register_user', { user_name: name, password: 'a good password', display_name: 'N' }));
		assert.ok(made.result.id);
		const { body: entered } = await post(call('log_in', { user_name: name, password: 'a good password' }));
		assert.equal((await post(call('get_profile'), entered.result)).body.result.id, made.result.id);
		assert.equal((await post(call('get_profile'))).body.error.code, 401);
		assert.equal((await post(call('authenticate', { token: alice.token }))).body.error.data.reason, 'needs_socket');
		assert.equal((await post(call('log_out'), entered.result)).body.result, null);
		assert.equal((await post(call('get_profile'), entered.result)).status, 401);
	});

	test('a batch, with calls of one chat in order', async () => {
		const bob = await world.user('bob');
		const { body: opened } = await post(call('open_direct_chat', { user_id: bob.id }), alice);
		const chat_id = opened.result.id;
		const texts = Array.from({ length: 20 }, (_, n) => `batch ${n}`);
		const { status, body } = await post(texts.map((text, n) => call('send_message', { chat_id, body: text }, n)), alice);
		assert.equal(status, 200);
		assert.equal(body.length, texts.length);
		const { body: listed } = await post(call('list_messages', { chat_id }), bob);
		assert.deepEqual(listed.result.rows.map(row => row.body), texts);
	});

	test('notifications are answered with 204, when they are done', async () => {
		const { method, params } = call('save_draft', { chat_id: '1', body: 'x' });
		assert.equal((await post({ jsonrpc: '2.0', method, params }, alice)).status, 204);
		const edit = { jsonrpc: '2.0', method: 'edit_profile', params: { display_name: 'Al', version: (await post(call('get_profile'), alice)).body.result.version } };
		assert.equal((await post([edit], alice)).status, 204);
		assert.equal((await post(call('get_profile'), alice)).body.result.display_name, 'Al');
	});

	test('what a socket hears of them', async () => {
		const bob = await world.user('bob');
		const socket = await world.connect(bob);
		const { body } = await post(call('open_direct_chat', { user_id: bob.id }), alice);
		await post(call('send_message', { chat_id: body.result.id, body: 'by post' }), alice);
		await socket.event(event => event.type === 'message' && event.message.body === 'by post');
		await socket.close();
	});
});

describe('refusals', () => {
	test('a bad token is 401', async () => {
		const { status, headers, body } = await post(call('get_profile'), { token: 'nonsense' });
		assert.equal(status, 401);
		assert.match(headers.get('www-authenticate'), /^Bearer/);
		assert.equal(body.error.data.reason, 'bad_token');
	});

	test('what is no JSON-RPC is 400, a longer body than a frame 413, another type 415', async () => {
		for (const [body, code] of [['{', -32700], ['', -32700], ['[]', -32600], ['{}', -32600], ['1', -32600], ['"\\u0000"', -32600],
			['{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600], ['{"jsonrpc":"2.0","id":1,"method":"\\ud83d"}', -32600],
			[JSON.stringify(Array(100).fill(call('ping'))), -32600]])
		{
			const answer = await post(body);
			assert.equal(answer.status, 400, body);
			assert.equal(answer.body.error.code, code);
		}
		assert.equal((await post('x'.repeat(65537))).status, 413);
		assert.equal((await post('x'.repeat(3_000_000))).status, 413);
		assert.equal((await post(call('ping'), { type: 'text/plain' })).status, 415);
		assert.equal((await post(call('ping'), { type: 'application/jsonx' })).status, 415);
		assert.equal((await post(call('ping'), { type: 'application/json; charset=utf-8' })).status, 200);
	});

	test('a request with a parameter that cannot be stored is one that failed, in a batch only that', async () => {
		const bad = '{"jsonrpc":"2.0","id":7,"method":"register_user","params":{"user_name":"\\u0000"}}';
		const { status, body } = await post(bad);
		assert.deepEqual([status, body.id, body.error.code, body.error.data.parameter], [200, 7, -32602, 'user_name']);
		const batch = await post(`[${ping},${bad},{}]`);
		assert.equal(batch.status, 200);
		assert.deepEqual(batch.body.map(({ id }) => id).sort(), [1, 7, null]);
		assert.equal(batch.body.find(({ id }) => id === 1).result, 'pong');
	});

	test('a batch that is too long is told how long it may be', async () => {
		const { body } = await post(Array(33).fill(call('ping')));
		assert.deepEqual(body.error.data, { reason: 'batch_too_long', hint: 'a batch has at most 32 requests' });
		assert.equal((await post(Array(32).fill(call('ping')))).body.length, 32);
	});

	test('other methods are 405 and say which serve', async () => {
		const response = await fetch(`${world.http}/rpc`);
		assert.equal(response.status, 405);
		assert.equal(response.headers.get('allow'), 'POST');
		assert.equal((await fetch(`${world.http}/healthz`, { method: 'DELETE' })).status, 405);
	});

	test('lengths that are none, or two, or in chunks', async () => {
		for (const [fields, status] of [['Content-Length: -1', 400], ['Content-Length: 1x', 400], ['Content-Length: +1', 400], ['Content-Length: ', 400],
			['Content-Length: 2\r\nContent-Length: 2', 400], ['Content-Length: 2, 2', 400], ['Content-Length: 99999999999999999999', 400],
			['Content-Length: 999999999999999', 413], ['Transfer-Encoding: chunked', 411], ['Transfer-Encoding: chunked\r\nContent-Length: 2', 411],
			['X: y', 411], ['Expect: a miracle\r\nContent-Length: 2', 417]])
		{
			const raw = new Raw(world.port).write(`POST /rpc HTTP/1.1\r\nHost: x\r\n${json}${fields}\r\n\r\n{}`);
			assert.equal(await raw.status(), status, fields);
			await within(raw.end, `end after ${fields}`);
			assert.equal(raw.statuses.length, 1, fields);
			raw.close();
		}
	});

	test('heads that proxies might read otherwise', async () => {
		for (const head of ['POST /rpc HTTP/1.1\nHost: x\n\n', 'POST /rpc HTTP/1.1\r\nHost : x\r\n\r\n', 'POST /rpc HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n',
			'POST /rpc HTTP/1.1\r\n\r\n', 'POST /rpc HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 'POST rpc HTTP/1.1\r\nHost: x\r\n\r\n',
			'POST /rpc HTTP/2.0\r\nHost: x\r\n\r\n', 'POST  /rpc HTTP/1.1\r\nHost: x\r\n\r\n', 'GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n',
			`GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(200)}\r\n`])
		{
			const raw = new Raw(world.port).write(head);
			if (head.includes('\r\n\r\n'))
				assert.equal(await raw.status(), 400, head);
			await within(raw.end, `end after ${JSON.stringify(head)}`, 8000);
			raw.close();
		}
		const long = new Raw(world.port).write(`GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(20000)}\r\n\r\n`);
		assert.equal(await long.status(), 431);
		long.close();
	});
});

describe('connections', () => {
	test('serve one request after the other, also sent ahead and in drips', async () => {
		const raw = new Raw(world.port).write(posted(ping) + posted(ping) + posted('{') + posted(ping));
		await raw.status(4);
		assert.deepEqual(raw.statuses, [200, 200, 400, 200]);
		for (const piece of posted(ping).match(/[^]{1,40}/g))
		{
			raw.write(piece);
			await sleep(5);
		}
		assert.equal(await raw.status(5), 200);
		raw.write(posted(ping, 'Connection: close\r\n'));
		assert.equal(await raw.status(6), 200);
		await within(raw.end, 'end');
		raw.close();
	});

	test('HTTP/1.0 ends after the answer, unless asked to go on', async () => {
		const once = new Raw(world.port).write('GET /healthz HTTP/1.0\r\n\r\n');
		await within(once.end, 'end');
		assert.deepEqual(once.statuses, [200]);
		once.close();
		const twice = new Raw(world.port).write('GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
		await twice.status();
		twice.write('GET /healthz HTTP/1.0\r\n\r\n');
		assert.equal(await twice.status(2), 200);
		twice.close();
	});

	test('a half-closed one still gets its answer', async () => {
		const raw = new Raw(world.port).write(posted(ping, 'Connection: close\r\n'));
		raw.socket.end();
		await within(raw.end, 'end');
		assert.deepEqual(raw.statuses, [200]);
		raw.close();
	});

	test('one that is half-closed within a head ends at once, lest the loop go round over it', async () => {
		const raw = new Raw(world.port).write('GET /healthz HT');
		await sleep(100);
		raw.socket.end();
		await within(raw.end, 'end', 2000);
		assert.equal(raw.text, '');
		raw.close();
		const ahead = new Raw(world.port).write(posted(ping) + posted(ping) + 'GET /');
		ahead.socket.end();
		await within(ahead.end, 'end', 2000);
		assert.deepEqual(ahead.statuses, [200, 200]);
		ahead.close();
	});

	test('100-continue is said before the body, and not when the body is refused', async () => {
		const raw = new Raw(world.port).write(`POST /rpc HTTP/1.1\r\nHost: x\r\n${json}Expect: 100-continue\r\nContent-Length: ${ping.length}\r\n\r\n`);
		assert.equal(await raw.status(), 100);
		raw.write(ping);
		assert.equal(await raw.status(2), 200);
		raw.close();
		const refused = new Raw(world.port).write(`POST /rpc HTTP/1.1\r\nHost: x\r\n${json}Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n`);
		assert.equal(await refused.status(), 413);
		refused.close();
	});

	test('a client that goes before the answer hurts nobody', async () => {
		await world.sql(`CREATE FUNCTION chat.nap(actor_id bigint) RETURNS integer LANGUAGE sql AS $$ SELECT 1 FROM pg_sleep(0.5) $$; COMMENT ON FUNCTION chat.nap IS 'Sleeps.'; GRANT EXECUTE ON FUNCTION chat.nap TO chat_user`);
		await until(async () => (await post(call('nap'), alice)).body.result === 1, 'nap is there');
		for (let n = 0; n < 5; n++)
		{
			const raw = new Raw(world.port).write(posted(JSON.stringify(call('nap')), `Authorization: Bearer ${alice.token}\r\n`));
			await sleep(20);
			raw.close();
		}
		assert.equal((await post(call('nap'), alice)).body.result, 1);
		const half = new Raw(world.port).write(posted(ping).slice(0, -5));
		await sleep(20);
		half.close();
		assert.equal((await post(call('ping'))).body.result, 'pong');
	});
});

describe('long answers that nobody takes', () => {
	test('are bounded by user; others, and short ones, are answered', async () => {
		const own = await World.start({ knobs: { workers: 1 } });
		const [mallory, bob] = await own.crowd(2);
		await own.sql(`CREATE FUNCTION chat.e2e_large(actor_id bigint, size int) RETURNS text LANGUAGE sql AS $$ SELECT repeat('x', size) $$; GRANT EXECUTE ON FUNCTION chat.e2e_large TO chat_user`);
		await until(async () => (await post(call('e2e_large', { size: 1 }), { ...bob, port: own.port })).body.result === 'x', 'the function');
		const large = { jsonrpc: '2.0', id: 1, method: 'e2e_large', params: { size: 7 << 20 } }; // of answer_limit, 8 MB
		const held = [];
		for (let n = 0; n < 5; n++)
		{
			const raw = new Raw(own.port);
			raw.socket.on('data', () => raw.socket.pause());
			raw.write(posted(JSON.stringify(large), `Authorization: Bearer ${mallory.token}\r\n`));
			await raw.status();
			held.push(raw);
		}
		assert.deepEqual(held.map(raw => raw.statuses[0]), [200, 200, 200, 200, 429]);
		await until(() => held[4].text.includes('"too_much_unread"'), 'the reason');
		assert.equal((await post(call('get_profile'), { ...mallory, port: own.port })).status, 200);
		assert.equal((await post(large, { ...bob, port: own.port })).status, 200);
		for (const raw of held)
			raw.close();
		await until(async () => (await post(large, { ...mallory, port: own.port })).status === 200, 'room again');
		await own.stop();
	});
});

describe('without a database', () => {
	test('503 with Retry-After, and well again later', async () => {
		let relay;
		const cut = await World.start({ knobs: async self => ({ database: (relay = await Relay.start(self)).dsn }) });
		const user = await cut.user('bob');
		relay.cut();
		const answer = await until(async () => {
			const got = await post(call('get_profile'), { ...user, port: cut.port });
			return got.status === 503 && got;
		}, '503');
		assert.ok(Number(answer.headers.get('retry-after')) >= 1);
		assert.equal(answer.body.error.data.reason, 'unavailable');
		relay.allow();
		await until(async () => (await post(call('get_profile'), { ...user, port: cut.port })).status === 200, '200');
		await cut.stop();
		relay.stop();
	});
});

describe('/openrpc.json', () => {
	test('describes every method, and again when functions change', async () => {
		const get = headers => fetch(`${world.http}/openrpc.json`, { headers });
		const first = await get();
		assert.equal(first.status, 200);
		assert.match(first.headers.get('content-type'), /^application\/json/);
		const document = await first.json();
		assert.match(document.openrpc, /^1\./);
		const socket = await world.connect();
		const discovered = await socket.call('discover');
		await socket.close();
		const names = document.methods.map(method => method.name);
		assert.equal(new Set(names).size, names.length);
		assert.deepEqual(names.sort(), [...discovered.map(one => one.method), 'authenticate', 'create_ticket', 'discover', 'ping', 'watch_presence'].sort());
		for (const method of document.methods)
		{
			assert.ok(method.description, method.name);
			assert.ok(method.result.schema, method.name);
			assert.ok(!method.params.some(({ name }) => name.startsWith('actor_')), method.name);
		}
		const send = document.methods.find(({ name }) => name === 'send_message');
		assert.deepEqual(send.params.find(({ name }) => name === 'chat_id'), { name: 'chat_id', required: true, schema: { type: ['string', 'integer'], pattern: '^-?[0-9]{1,19}$' } });
		assert.deepEqual(send.params.find(({ name }) => name === 'mention_ids').schema.type, ['array', 'null']);
		assert.equal(send.params.find(({ name }) => name === 'body').required, false);
		const list = document.methods.find(({ name }) => name === 'list_messages').result.schema;
		assert.deepEqual(Object.keys(list.properties), ['rows', 'has_more']);
		assert.equal(list.properties.rows.items.properties.sent_at.format, 'date-time');

		const tag = first.headers.get('etag');
		assert.equal((await get({ 'If-None-Match': tag })).status, 304);
		await world.sql(`CREATE FUNCTION chat.newcomer(actor_id bigint) RETURNS void LANGUAGE sql AS ''; COMMENT ON FUNCTION chat.newcomer IS 'New.'; GRANT EXECUTE ON FUNCTION chat.newcomer TO chat_user`);
		const second = await until(async () => {
			const answer = await get({ 'If-None-Match': tag });
			return answer.status === 200 && answer.json();
		}, 'another document');
		assert.deepEqual(second.methods.find(({ name }) => name === 'newcomer').result.schema, { type: 'null' });
	});
});

describe('a gateway that ends', () => {
	test('answers what it has begun: a call, a file in and out', async () => {
		const own = await World.start();
		const user = await own.user('erin');
		const token = `Authorization: Bearer ${user.token}\r\n`;
		await own.sql(`CREATE FUNCTION chat.doze(actor_id bigint) RETURNS integer LANGUAGE sql AS $$ SELECT 1 FROM pg_sleep(1) $$; GRANT EXECUTE ON FUNCTION chat.doze TO chat_user`);
		await until(async () => (await post(call('doze'), { ...user, port: own.port })).body.result === 1, 'the function');
		const bytes = 8 << 20;
		const made = await fetch(`${own.http}/files?name=big`, { method: 'POST', headers: { Authorization: `Bearer ${user.token}` }, body: Buffer.alloc(bytes) });
		const { id } = await made.json();

		const asked = new Raw(own.port).write(posted(JSON.stringify(call('doze')), token));
		const given = new Raw(own.port).write(`POST /files?name=late HTTP/1.1\r\nHost: x\r\n${token}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
		await given.status();
		const taken = new Raw(own.port);
		taken.socket.on('data', () => taken.socket.pause());
		taken.write(`GET /files/${id} HTTP/1.1\r\nHost: x\r\n${token}\r\n`);
		await taken.status();
		const idle = new Raw(own.port).write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
		await idle.status();
		const ended = own.stop();
		await within(idle.end, 'the idle one ends');
		given.write('12345');
		assert.equal(await given.status(2), 201);
		assert.match(given.text, /Connection: close/);
		assert.equal(await asked.status(), 200);
		const flow = setInterval(() => taken.socket.resume(), 5);
		await within(taken.end, 'the last byte').finally(() => clearInterval(flow));
		assert.equal(taken.text.length - taken.text.indexOf('\r\n\r\n') - 4, bytes);
		await ended;
		for (const raw of [asked, given, taken, idle])
			raw.close();
	});

	test('cuts a file on its way out when its time is over', async () => {
		const own = await World.start({ knobs: { drain_timeout: '300ms' } });
		const [user] = await own.crowd(1);
		const headers = { Authorization: `Bearer ${user.token}` };
		const { id } = await (await fetch(`${own.http}/files?name=big`, { method: 'POST', headers, body: Buffer.alloc(16 << 20) })).json();
		const taken = new Raw(own.port);
		taken.socket.on('data', () => taken.socket.pause());
		taken.write(`GET /files/${id} HTTP/1.1\r\nHost: x\r\nAuthorization: ${headers.Authorization}\r\n\r\n`);
		await taken.status();
		await own.stop();
		taken.socket.removeAllListeners('data').resume();
		await within(taken.end, 'end');
		taken.close();
	});
});
