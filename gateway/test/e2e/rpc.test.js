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
		for (const method of ['next_id', 'open_session', 'list_methods', 'listen', 'pg_catalog.pg_sleep', 'pg_sleep'])
			assert.equal((await refused(socket.call(method))).code, -32601, method);
	});

	test('a missing parameter is -32602 and named', async () => {
		const error = await refused(socket.call('open_direct_chat', {}));
		assert.equal(error.code, -32602);
		assert.match(error.text + JSON.stringify(error.data), /user_id/);
	});

	test('null for a required parameter is what leaving it out is, for an optional one its default', async () => {
		for (const [method, { [0]: name, ...others }] of [['open_direct_chat', { 0: 'user_id' }], ['remove_member', { 0: 'user_id', chat_id: '1' }],
			['get_users', { 0: 'user_ids' }], ['edit_message', { 0: 'body', chat_id: '1', message_id: '1' }], ['set_member_role', { 0: 'role', chat_id: '1', user_id: '1' }]])
		{
			const missing = await refused(socket.call(method, others));
			const none = await refused(socket.call(method, { ...others, [name]: null }));
			assert.deepEqual([none.code, none.data], [-32602, missing.data], method);
			assert.equal(none.data.parameter, name);
		}
		assert.deepEqual(await socket.call('list_chats', { page_size: null, before_id: null }), await socket.call('list_chats'));
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

	const deep = levels => '['.repeat(levels) + ']'.repeat(levels);
	const unreadable = [
		['{"pattern":"a\\u0000b"}', 'pattern', /u0000/],
		['{"pattern":"\\ud83d"}', 'pattern', /surrogate/],
		['{"page_size":99999999999999999999,"pattern":"ab"}', 'page_size', /64 bits/],
		['{"pattern":"ab","page_size":1e400}', 'page_size', /64 bits/],
		[`{"pattern":"ab","page_size":${deep(31)}}`, 'page_size', /32 levels/],
		[`{"pattern":"ab","page_size":${deep(5000)}}`, 'page_size', /32 levels/],
		['{"pattern":"ab","pattern":"cd"}', 'pattern', /same member twice/],
		['{"pattern":{"a":1,"a":2}}', 'pattern', /same member twice/]
	];

	test('JSON that cannot be stored is refused to who sent it, and the parameter is named', async () => {
		for (const [params, parameter, hint] of unreadable)
		{
			const { id, error } = await answer(`{"jsonrpc":"2.0","id":"mine","method":"search_users","params":${params}}`);
			assert.deepEqual([id, error.code, error.data.reason, error.data.parameter], ['mine', -32602, 'invalid_params', parameter], params);
			assert.match(error.data.hint, hint);
		}
		await alive();
	});

	test('where no parameter is to blame it is -32600, with the id when that can be told', async () => {
		for (const [text, mine] of [
			['{"jsonrpc":"2.0","id":7,"method":"\\ud83d","params":{}}', 7],
			['{"jsonrpc":"2.0","id":7,"method":"search_users","params":{"\\u0000":1}}', 7],
			['{"jsonrpc":"2.0","id":7,"method":"get_profile","method":"get_profile"}', 7],
			['{"jsonrpc":"2.0","id":7,"id":8,"method":"get_profile"}', null],
			['{"jsonrpc":"2.0","id":9223372036854775808,"method":"get_profile"}', null],
			['{"jsonrpc":"2.0","id":"\\u0000","method":"search_users","params":{"pattern":"\\u0000"}}', null],
			['"\\u0000"', null],
			['1e400', null]
		])
		{
			const { id, error } = await answer(text);
			assert.deepEqual([id, error?.code, error?.data.reason], [mine, -32600, 'invalid_request'], text);
		}
		await alive();
	});

	test('of a batch only what cannot be stored is refused, the rest runs', async () => {
		const good = id => `{"jsonrpc":"2.0","id":${id},"method":"get_user","params":{"user_id":"${alice.id}"}}`;
		for (const [params, parameter] of unreadable)
		{
			const bad = `{"jsonrpc":"2.0","id":"bad","method":"search_users","params":${params}}`;
			const frame = await answer(`[${good(1)}, ${bad} ,${good(2)},${good('9223372036854775808')},1e400,[]]`);
			const byId = id => frame.filter(each => each.id === id);
			assert.equal(frame.length, 6, params);
			assert.deepEqual([byId(1)[0].result.id, byId(2)[0].result.id], [alice.id, alice.id], params);
			assert.deepEqual([byId('bad')[0].error.code, byId('bad')[0].error.data.parameter], [-32602, parameter], params);
			assert.deepEqual(byId(null).map(({ error }) => error.code), [-32600, -32600, -32600], params);
		}
		const { error } = await answer(`[${Array(33).fill('"\\u0000"')}]`);
		assert.equal(error.data.reason, 'batch_too_long');
		await alive();
	});

	test('calls in flight are answered whatever comes between them', async () => {
		const calls = [];
		for (const [params] of unreadable)
		{
			calls.push(socket.call('get_profile'));
			socket.send(`{"jsonrpc":"2.0","id":"between","method":"search_users","params":${params}}`);
		}
		assert.ok((await Promise.all(calls)).every(({ id }) => id === alice.id));
		for (const _ of unreadable)
			assert.equal((await socket.reply()).id, 'between');
	});

	test('a notification that cannot be stored is not answered', async () => {
		socket.send('{"jsonrpc":"2.0","method":"search_users","params":{"pattern":"\\u0000"}}');
		await alive();
		assert.deepEqual(socket.others, []);
	});

	test('text that is cut off, or goes on, is no JSON, whatever else is wrong with it', async () => {
		for (const [text, hint] of [['{"jsonrpc":"2.0","id":1,"params":{"a":"\\u0000"}', /too early/], ['[{"a":1,"a":2}]]', /behind/],
			[`${deep(40)}]`, /behind/], ['['.repeat(30000), /too early/], ['['.repeat(60000), /32 levels/], ['{"id":1,"params":{"a":1e400},}', /malformed/]])
		{
			const { error, id } = await answer(text);
			assert.deepEqual([error.code, id], [-32700, null], text.slice(0, 60));
			assert.match(error.data.hint, hint);
		}
		await alive();
	});

	test('deep nesting is an error, not a crash', async () => {
		const [{ error, id }] = await answer(deep(30000)); // a batch of one thing that is no request
		assert.deepEqual([error.code, id], [-32600, null]);
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
