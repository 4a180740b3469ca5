// SPDX-License-Identifier: PostgreSQL
// JSON-RPC 2.0 as the gateway speaks it: errors and their codes, batches, notifications, frames.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { refused, World } from './harness.js';

describe('json-rpc', () => {
	let world;
	let socket;
	let alice;

	before(async () => {
		world = await World.start();
		alice = await world.user('alice');
		socket = await world.connect(alice);
	});
	after(() => world.stop());

	// The socket still works: whatever came before did no harm.
	const alive = async (own = socket) => assert.equal((await own.call('get_profile')).id, alice.id);

	const answer = async frame => {
		socket.send(frame);
		return socket.reply();
	};

	test('the subprotocol is chat.v1', () => assert.equal(socket.ws.protocol, 'chat.v1'));

	test('an unknown method is -32601', async () => {
		assert.equal((await refused(socket.call('no_such_method'))).code, -32601);
		assert.equal((await refused(socket.call("get_profile'; DROP TABLE chat.users; --"))).code, -32601);
		await alive();
	});

	test('functions that were granted to nobody on the wire are unknown', async () => {
		for (const method of ['next_id', 'open_session', 'list_methods', 'read_event', 'pg_catalog.pg_sleep', 'pg_sleep'])
			assert.equal((await refused(socket.call(method))).code, -32601, method);
	});

	test('a missing parameter is -32602 and named', async () => {
		const error = await refused(socket.call('open_direct_chat', {}));
		assert.equal(error.code, -32602);
		assert.match(error.text + JSON.stringify(error.data), /user_id/);
	});

	test('an unknown parameter is -32602 and named', async () => {
		const error = await refused(socket.call('open_direct_chat', { user_id: alice.id, colour: 'red' }));
		assert.equal(error.code, -32602);
		assert.match(error.text + JSON.stringify(error.data), /colour/);
	});

	test('an ill-typed parameter is -32602 and named', async () => {
		for (const value of ['abc', '', '1.5', 1.5, true, {}, [], '99999999999999999999', ' 1', '1e3', '0x10'])
		{
			const error = await refused(socket.call('open_direct_chat', { user_id: value }));
			assert.equal(error.code, -32602, JSON.stringify(value));
			assert.match(error.text + JSON.stringify(error.data), /user_id/, JSON.stringify(value));
		}
		await alive();
	});

	test('ids are strings in answers; exact numbers are accepted as well', async () => {
		const profile = await socket.call('get_profile');
		assert.match(profile.id, /^[0-9]+$/);
		assert.equal(typeof (await socket.call('open_direct_chat', { user_id: alice.id })).id, 'string');
		socket.ws.send(`{"jsonrpc":"2.0","id":"exact","method":"get_user","params":{"user_id":${alice.id}}}`);
		assert.equal((await socket.reply(frame => frame.id === 'exact')).result.id, alice.id);
	});

	test('what the gateway fills in is refused from clients', async () => {
		for (const name of ['actor_id', 'actor_session_id', 'actor_address'])
			assert.equal((await refused(socket.call('get_profile', { [name]: alice.id }))).code, -32602, name);
		await alive();
	});

	test('malformed JSON is -32700 with a null id', async () => {
		for (const text of ['{', '', '{"jsonrpc":"2.0","id":1,"method":"ping"', 'nonsense', '{"a":1}}', '[1,', '{"a":"\n"}', "{'a':1}"])
		{
			const { error, id } = await answer(text);
			assert.deepEqual([error.code, id], [-32700, null], text);
		}
		await alive();
	});

	test('a frame that is no request is -32600', async () => {
		for (const text of ['1', '"text"', 'null', '[]', '{}', '{"jsonrpc":"2.0","id":5}', '{"jsonrpc":"1.0","id":5,"method":"get_profile"}',
			'{"jsonrpc":"2.0","id":5,"method":7}', '{"jsonrpc":"2.0","id":{},"method":"get_profile"}',
			'{"jsonrpc":"2.0","id":5,"method":"get_profile","params":3}'])
			assert.equal((await answer(text)).error?.code, -32600, text);
		await alive();
	});

	test('the id comes back as it was sent', async () => {
		for (const id of ['"text"', '0', '-7', '"9007199254740993"', '"\\u00e4"'])
		{
			const { id: got } = await answer(`{"jsonrpc":"2.0","id":${id},"method":"get_profile","params":{}}`);
			assert.deepEqual(got, JSON.parse(id));
		}
	});

	test('params may be left out', async () => {
		const { result } = await answer('{"jsonrpc":"2.0","id":"bare","method":"get_profile"}');
		assert.equal(result.id, alice.id);
	});

	test('a notification runs and is not answered', async () => {
		socket.send({ jsonrpc: '2.0', method: 'no_such_method', params: {} });
		socket.send({ jsonrpc: '2.0', method: 'get_profile', params: { colour: 1 } });
		socket.send({ jsonrpc: '2.0', method: 'open_direct_chat', params: { user_id: alice.id } });
		await alive();
		await alive();
		assert.deepEqual(socket.others, []);
	});

	test('a batch is answered by one array with an answer to each call', async () => {
		const frame = await answer([
			{ jsonrpc: '2.0', id: 'a', method: 'get_profile', params: {} },
			{ jsonrpc: '2.0', method: 'get_profile', params: {} },
			{ jsonrpc: '2.0', id: 'b', method: 'no_such_method' },
			1,
			{ jsonrpc: '2.0', id: 'c', method: 'get_user', params: { user_id: alice.id } }
		]);
		assert.ok(Array.isArray(frame));
		assert.equal(frame.length, 4);
		const byId = Object.fromEntries(frame.map(each => [each.id, each]));
		assert.equal(byId.a.result.id, alice.id);
		assert.equal(byId.b.error.code, -32601);
		assert.equal(byId.c.result.id, alice.id);
		assert.equal(byId.null.error.code, -32600);
	});

	test('a batch of notifications is not answered', async () => {
		socket.send([{ jsonrpc: '2.0', method: 'get_profile', params: {} }]);
		await alive();
		assert.deepEqual(socket.others, []);
	});

	test('many calls in flight are all answered', async () => {
		const answers = await Promise.all(Array.from({ length: 300 }, () => socket.call('get_profile')));
		assert.ok(answers.every(profile => profile.id === alice.id));
	});

	test('duplicate keys and NUL never reach the database', async () => {
		const twice = await answer('{"jsonrpc":"2.0","id":"twice","method":"get_user","params":{"user_id":"1","user_id":"2"}}');
		assert.ok([-32700, -32600, -32602].includes(twice.error?.code), JSON.stringify(twice));
		const nul = await answer('{"jsonrpc":"2.0","id":"nul","method":"search_users","params":{"pattern":"a\\u0000b"}}');
		assert.ok([-32700, -32600, -32601, -32602].includes(nul.error?.code), JSON.stringify(nul));
		await alive();
	});

	test('deep nesting is an error, not a crash', async () => {
		const { error } = await answer('['.repeat(30000) + ']'.repeat(30000));
		assert.ok([-32700, -32600].includes(error.code));
		await alive();
	});

	test('a frame just under 64 kB is read, a larger one closes 1009', async () => {
		const own = await world.connect(alice);
		const other = await world.connect(alice);
		const pad = n => `{"jsonrpc":"2.0","id":"pad","method":"no_such_method","params":{"x":"${'y'.repeat(n)}"}}`;
		own.send(pad(64 * 1024 - 200));
		assert.equal((await own.reply()).error.code, -32601);
		own.send(pad(200 * 1024));
		assert.equal((await own.ending('1009')).code, 1009);
		await alive(other);
		await other.close();
	});

	test('a binary frame does no harm', async () => {
		const own = await world.connect(alice);
		own.send(Buffer.from([0, 255, 1, 254, 2]));
		const outcome = await Promise.race([own.reply(), own.ending()]);
		assert.ok(outcome.error?.code === -32700 || outcome.error?.code === -32600 || [1003, 1002, 1007].includes(outcome.code),
			JSON.stringify(outcome));
		if (!own.ended)
			await alive(own);
		await own.close();
		await alive();
	});

	test('text that is not UTF-8 closes 1007', async () => {
		const own = await world.connect(alice);
		own.ws.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false });
		assert.equal((await own.ending()).code, 1007);
		await alive();
	});

	test('fragmented messages and pings are put together', async () => {
		const own = await world.connect(alice);
		const text = '{"jsonrpc":"2.0","id":"parts","method":"get_profile","params":{}}';
		for (let at = 0; at < text.length; at += 10)
		{
			own.ws.send(text.slice(at, at + 10), { fin: at + 10 >= text.length });
			own.ws.ping();
		}
		assert.equal((await own.reply()).result.id, alice.id);
		await own.close();
	});
});
