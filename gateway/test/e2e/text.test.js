// SPDX-License-Identifier: PostgreSQL
// Values are values: whatever text a client sends, in whatever place, it is stored and returned byte for byte or
// refused, and nothing of it is ever run.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { refused, unique, World } from './harness.js';

const nasty = [
	"'; DROP TABLE chat.users; --",
	"'); DELETE FROM chat.messages; --",
	"\\'; DROP SCHEMA chat CASCADE; --",
	'$1', '$$', '$body$ SELECT 1 $body$', '%s %n %d', '${7*7}', '{{7*7}}',
	'a\\b\\\\c\\', '\\x41', "E'\\x41'", '\\.', 'COMMIT', '"', '""', "''", '"quoted"."name"',
	'{"jsonrpc":"2.0","id":1,"method":"log_out"}', '[1,2]', 'null', '{1,2}', 'NULL', '(1,2)',
	'<script>alert(1)</script>', '&lt;b&gt;', 'line\nbreak\r\nand\ttab', '\u0001\u001f\u007f',
	'😀👩‍👩‍👧‍👦🇩🇪', 'مرحبا بالعالم', '\u202eright to left', 'שלום', '中文字', 'e\u0301 é', '\ufeffbom', '\u2028\u2029', '\ufffe', '\u{10ffff}',
	' leading and trailing ', 'ı İ ß ẞ', '0', 'true'
];

describe('text', () => {
	let world;
	let pair;
	let witness;
	let witnessId;

	before(async () => {
		world = await World.start();
		pair = await world.pair();
		const user = await world.user('witness');
		witness = await world.connect(user);
		witnessId = user.id;
	});
	after(() => world.stop());

	// Tables and neighbours are as they were.
	const unharmed = async () => {
		assert.equal((await witness.call('get_profile')).id, witnessId);
		assert.equal(witness.ended, undefined);
		assert.ok(Number(await world.sql('SELECT count(*) FROM chat.users')) >= 3);
	};

	test('bodies come back byte for byte, by event and by list', async () => {
		const { a, b, chat_id } = pair;
		for (const body of nasty)
		{
			const sent = await a.call('send_message', { chat_id, body, client_key: `key ${body}`.slice(0, 40) });
			const event = await b.event(each => each.type === 'message' && each.id === sent.id, body);
			assert.equal(event.message.body, body);
			const { rows } = await b.call('list_messages', { chat_id, page_size: 1 });
			assert.equal(rows[0].body, body);
			assert.equal(await world.sql(`SELECT encode(convert_to(m.body, 'UTF8'), 'hex') FROM chat.messages m WHERE m.id = ${sent.id}`),
				Buffer.from(body).toString('hex'));
		}
		await unharmed();
	});

	test('jsonb keeps text too', async () => {
		const { a, chat_id } = pair;
		const attributes = { list: nasty, "it's": { $1: ["'; --"] } };
		const sent = await a.call('send_message', { chat_id, body: 'with attributes', attributes });
		const { rows } = await a.call('list_messages', { chat_id, around_id: sent.id, page_size: 2 });
		assert.deepEqual(rows.find(row => row.id === sent.id).attributes, attributes);
	});

	test('names, keys, device names, passwords and tokens are only values', async () => {
		const socket = await world.connect();
		const name = unique('q');
		const password = `${nasty[0]} ${nasty[2]} $1 😀`;
		await socket.call('register_user', { user_name: name, password, display_name: nasty[0] });
		await socket.call('log_in', { user_name: name, password, device_name: nasty[1] });
		assert.equal((await socket.call('get_profile')).display_name, nasty[0]);
		assert.equal((await socket.call('list_sessions')).at(-1).device_name, nasty[1]);

		// Last, for so many failures stop logins from this address for a while.
		const stranger = await world.connect();
		for (const text of nasty)
		{
			await refused(stranger.call('register_user', { user_name: text, password: text, display_name: text }));
			await refused(stranger.call('log_in', { user_name: text, password: text, device_name: text }));
		}
		await stranger.close();
		await socket.close();
		await unharmed();
	});

	test('text where a number or a time belongs is refused', async () => {
		const { a } = pair;
		for (const text of nasty.filter(each => each !== '0'))
		{
			assert.equal((await refused(a.call('get_user', { user_id: text }))).code, -32602, text);
			assert.equal((await refused(a.call('list_messages', { chat_id: text }))).code, -32602, text);
			assert.equal((await refused(a.call('list_messages', { chat_id: pair.chat_id, at: text }))).code, -32602, text);
		}
		await unharmed();
	});

	test('text as method or parameter name is refused', async () => {
		const { a } = pair;
		for (const text of nasty)
		{
			assert.equal((await refused(a.call(text))).code, -32601, text);
			assert.equal((await refused(a.call('get_profile', { [text]: 1 }))).code, -32602, text);
		}
		await unharmed();
	});

	test('lone surrogates and NUL are refused and disturb nobody', async () => {
		const { a, chat_id } = pair;
		for (const escape of ['\\ud800', '\\udc00x', 'a\\u0000b'])
		{
			a.send(`{"jsonrpc":"2.0","id":"odd","method":"send_message","params":{"chat_id":"${chat_id}","body":"${escape}"}}`);
			const frame = await a.reply();
			assert.deepEqual([frame.id, frame.error?.code, frame.error?.data.parameter], ['odd', -32602, 'body'], JSON.stringify(frame));
		}
		await unharmed();
	});

	test('a failing neighbour in a group of calls takes nobody with it', async () => {
		const { a, b, chat_id } = pair;
		const sent = [];
		const refusals = [];
		for (let i = 0; i < 100; i++)
		{
			sent.push(a.call('send_message', { chat_id, body: `good ${i}` }));
			refusals.push(refused(b.call('send_message', { chat_id: String(BigInt(chat_id) + BigInt(i + 1)), body: 'bad' })));
			refusals.push(refused(witness.call('send_message', { chat_id, body: 'not a member' })));
		}
		const ids = (await Promise.all(sent)).map(each => each.id);
		assert.equal(new Set(ids).size, 100);
		assert.ok((await Promise.all(refusals)).every(error => error.code === 404));
		for (const id of ids)
			await b.event(event => event.id === id);
		await unharmed();
	});
});
