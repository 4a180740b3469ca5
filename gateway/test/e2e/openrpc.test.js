// SPDX-License-Identifier: PostgreSQL
// /openrpc.json is true: what is sent and answered fits the schemas that it gives.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Ajv from 'ajv';
import { until, World } from './harness.js';

describe('the schemas of /openrpc.json', () => {
	let world;
	let document;
	let alice;
	let bob;
	let a;
	let b;
	const ajv = new Ajv({
		allErrors: true, allowUnionTypes: true,
		formats: {
			'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/, date: /^\d{4}-\d\d-\d\d$/, duration: /^-?P(\d|T)/,
			uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
		}
	});
	const described = new Set();
	const method = name => document.methods.find(one => one.name === name);
	const schemaOf = (name, parameter) => method(name).params.find(one => one.name === parameter).schema;
	const fits = (schema, value, what) => assert.ok(ajv.validate(schema, value), `${what}: ${ajv.errorsText()} in ${JSON.stringify(value)}`);

	// A call whose parameters and answer are as described, with no member that is not.
	const call = async (socket, name, params = {}) => {
		const { result: { schema }, params: parameters } = method(name);
		for (const [parameter, value] of Object.entries(params))
			fits(schemaOf(name, parameter), value, `${name} ${parameter}`);
		for (const { name: parameter } of parameters.filter(({ required }) => required))
			assert.ok(parameter in params, `${name} ${parameter}`);
		const answer = await socket.call(name, params);
		fits(schema, answer, name);
		const row = schema.properties?.rows ? answer.rows[0] : Array.isArray(answer) ? answer[0] : answer;
		const { properties } = schema.properties?.rows?.items ?? schema.items ?? schema;
		if (row && properties)
			assert.deepEqual(Object.keys(row).sort(), Object.keys(properties).sort(), name);
		described.add(name);
		return answer;
	};

	before(async () => {
		world = await World.start({ knobs: { workers: 1 } });
		alice = await world.user('alice');
		bob = await world.user('bob');
		a = await world.connect(alice);
		b = await world.connect(bob);
		document = await (await fetch(`${world.http}/openrpc.json`)).json();
	});
	after(() => world.stop());

	test('are schemas', () => {
		for (const { name, params, result } of document.methods)
		{
			ajv.compile(result.schema);
			for (const parameter of params)
				assert.ok(ajv.compile(parameter.schema), `${name} ${parameter.name}`);
		}
	});

	test('fit what is sent and answered', async () => {
		const chat = await call(a, 'open_direct_chat', { user_id: bob.id });
		assert.deepEqual([chat.title, chat.description, chat.avatar_file_id, chat.left_at, chat.muted_until], [null, null, null, null, null]);
		const chat_id = chat.id;
		const group = await call(a, 'create_group', { title: 'group', member_ids: [bob.id], attributes: { a: 1 }, client_key: null });
		const { id: message_id } = await call(a, 'send_message', { chat_id, body: 'hello', mention_ids: [bob.id], reply_to_id: null, expires_in: 'P1D' });
		await call(a, 'edit_message', { chat_id, message_id, body: 'hello, bob' });
		await call(b, 'send_message', { chat_id, body: 'reply', reply_to_id: message_id, attributes: { a: [1] } });
		await call(b, 'add_reaction', { chat_id, message_id, emoji: '👍' });
		await call(b, 'mark_read', { chat_id, message_id });
		const { rows } = await call(a, 'list_messages', { chat_id, page_size: 10 });
		assert.ok(rows.some(row => row.edited_at === null && row.deleted_at === null) && rows.some(row => row.edited_at));
		await call(a, 'get_message', { chat_id, message_id });
		await call(a, 'list_messages', { chat_id, at: new Date().toISOString(), before_id: null });
		await call(a, 'search_messages', { query: 'hello' });
		await call(a, 'list_message_edits', { chat_id, message_id });
		await call(a, 'list_receipts', { chat_id, message_id });
		await call(a, 'list_reactions', { chat_id, message_id });
		await call(a, 'delete_message', { chat_id, message_id, for_everyone: true });
		await call(a, 'list_messages', { chat_id });
		await call(a, 'list_chats', { include_archived: true });
		await call(a, 'get_chat', { chat_id: group.id });
		await call(a, 'list_members', { chat_id: group.id });
		await call(a, 'set_chat_prefs', { chat_id, muted_until: null, pinned: true });
		await call(a, 'save_draft', { chat_id, body: 'draft' });
		await call(a, 'create_invite_link', { chat_id: group.id, max_uses: 1 });
		await call(a, 'list_invite_links', { chat_id: group.id });
		await call(a, 'list_events', { chat_id, after_id: '0' });
		await call(a, 'sync', { since: '0' });
		await call(a, 'get_profile');
		await call(a, 'edit_profile', { version: null, display_name: 'Alice', email: null });
		await call(a, 'get_user', { user_id: bob.id });
		await call(a, 'get_users', { user_ids: [bob.id, alice.id] });
		await call(a, 'search_users', { pattern: bob.name });
		await call(a, 'list_sessions');
		await call(a, 'refresh_session');
		await call(a, 'set_presence', { status: 'busy', status_text: 'here', until: null });
		await call(a, 'get_presence', { user_ids: [alice.id, bob.id] });
		await call(a, 'invite_user', { user_id: bob.id });
		await call(a, 'list_connections');
		const { id: upload_id } = await call(a, 'begin_upload', { name: 'x', size: 1 });
		await call(a, 'append_upload', { upload_id, byte_offset: 0, bytes: 'eA==' });
		await call(a, 'finish_upload', { upload_id });
		await call(a, 'get_file', { file_id: upload_id });
		await call(a, 'read_file', { file_id: upload_id });
		await call(a, 'list_files');
		await call(a, 'add_file_link', { name: 'x', url: 'https://example.org/' });
		await call(a, 'schedule_message', { send_at: new Date(Date.now() + 3600000).toISOString(), chat_id, body: 'later' });
		await call(a, 'list_scheduled_messages', { chat_id });
		for (const [name, params] of [['ping'], ['discover'], ['watch_presence', { user_ids: [bob.id, Number.MAX_SAFE_INTEGER] }], ['create_ticket'], ['create_ticket', { file_id: upload_id }]])
			await call(a, name, params);
		await call(a, 'leave_chat', { chat_id: group.id });
		assert.ok(described.size >= 45, `${described.size} methods`);
	});

	test('of authenticate and log_in are those of sockets', async () => {
		const socket = await world.connect();
		const { cursor } = await call(socket, 'authenticate', { token: alice.token, since: null });
		await call(socket, 'authenticate', { token: alice.token, since: Number(cursor) > Number.MAX_SAFE_INTEGER ? cursor : Number(cursor) });
		await socket.close();
		const other = await world.connect();
		assert.ok((await call(other, 'log_in', { user_name: bob.name, password: bob.password })).cursor);
		await other.close();
		const response = await fetch(`${world.http}/rpc`, {
			method: 'POST', headers: { 'Content-Type': 'application/json' },
			body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'log_in', params: { user_name: bob.name, password: bob.password } })
		});
		fits(method('log_in').result.schema, (await response.json()).result, 'log_in over HTTP');
		const stranger = await world.connect();
		await call(stranger, 'register_user', { user_name: 'schema.user', password: 'a long password', display_name: null });
		await stranger.close();
	});

	test('say what may be null, a number or a string', () => {
		for (const [name, parameter, good, bad] of [
			['send_message', 'chat_id', ['1', 1, '-9223372036854775808'], [null, 1.5, 'x', true]],
			['send_message', 'reply_to_id', ['1', 1, null], ['', 1.5, false]],
			['send_message', 'mention_ids', [null, [], ['1', 2]], ['1', [null], ['x']]],
			['list_messages', 'page_size', [1, null], ['1', 1.5]],
			['authenticate', 'since', ['1', 1, null], ['x', 1.5]],
			['authenticate', 'token', ['x'], [null, 1]],
			['watch_presence', 'user_ids', [[], ['1', 2]], [null, '1', [null]]],
			['create_ticket', 'file_id', ['1', 1], ['x', {}]]])
		{
			for (const value of good)
				fits(schemaOf(name, parameter), value, `${name} ${parameter}`);
			for (const value of bad)
				assert.ok(!ajv.validate(schemaOf(name, parameter), value), `${name} ${parameter} ${JSON.stringify(value)}`);
		}
		const { properties, required } = method('open_direct_chat').result.schema;
		assert.deepEqual(properties.title, { type: ['string', 'null'] });
		assert.deepEqual(properties.left_at, { type: ['string', 'null'], format: 'date-time' });
		assert.deepEqual(required.sort(), Object.keys(properties).sort());
		assert.ok(!('error' in method('log_in').result.schema.properties), 'an error is no member of the result');
		assert.ok(!method('log_in').result.schema.required.includes('cursor'));
	});

	test('hold for functions of one\'s own, whatever they return', async () => {
		const types = {
			b: ['bigint', "'-5'"], i: ['int', '5'], o: ['boolean', 'true'], t: ['text', "'x'"], j: ['jsonb', `'{"a": 1}'`], n: ['numeric', "'NaN'"],
			d: ['double precision', "'-Infinity'"], r: ['real', '1.5'], u: ['uuid', "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'"], y: ['date', "'2026-02-28'"],
			v: ['interval', "'1 day 2 hours'"], x: ['bytea', "'\\x00ff'"], a: ['inet', "'10.0.0.1'"], m: ['timestamptz', "'2026-03-04T05:06:07Z'"], z: ['point', "'(1,2)'"],
			bs: ['bigint[]', "'{1,NULL}'"], ts: ['text[]', "'{}'"]
		};
		const columns = Object.entries(types).map(([name, [type]]) => `${name} ${type}`).join(', ');
		const create = (name, returns, body) => world.sql(`CREATE FUNCTION chat.${name}(actor_id bigint) RETURNS ${returns} LANGUAGE sql AS $$ ${body} $$;
			GRANT EXECUTE ON FUNCTION chat.${name} TO chat_user; COMMENT ON FUNCTION chat.${name} IS 'x'`);
		await create('e2e_values', `TABLE (${columns})`, `SELECT ${Object.values(types).map(([type, value]) => `${value}::${type}`).join(', ')}`);
		await create('e2e_nulls', `TABLE (${columns})`, `SELECT ${Object.values(types).map(([type]) => `NULL::${type}`).join(', ')}`);
		await create('e2e_page', 'TABLE (id bigint, has_more boolean)', 'SELECT NULL::bigint, true');
		await create('e2e_set', 'SETOF bigint', 'SELECT 1 UNION ALL SELECT NULL');
		await create('e2e_scalar', 'timestamptz', 'SELECT NULL::timestamptz');
		await create('e2e_nobody', 'chat.v_users', 'SELECT NULL::chat.v_users');
		await create('e2e_void', 'void', '');
		const names = ['e2e_values', 'e2e_nulls', 'e2e_page', 'e2e_set', 'e2e_scalar', 'e2e_nobody', 'e2e_void'];
		await until(async () => {
			document = await (await fetch(`${world.http}/openrpc.json`)).json();
			return names.every(method);
		}, 'all of them');
		for (const name of names)
			await call(a, name);
		assert.equal(await a.call('e2e_nobody'), null);
		assert.equal((await a.call('e2e_values'))[0].n, 'NaN');
	});
});
