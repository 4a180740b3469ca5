// SPDX-License-Identifier: PostgreSQL
// Maintenance without anybody's doing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep, until, within, World } from './harness.js';

const age = async world => Number(await world.sql("SELECT coalesce(value, -1) FROM chat.stats WHERE name = 'maintenance_age_seconds'"));

describe('maintenance', () => {
	let world;
	let a;
	let b;
	let chat_id;
	before(async () => {
		world = await World.start({ knobs: { maintenance_interval: '1s' } });
		const [alice, bob] = await world.crowd(2);
		a = await world.connect(alice);
		b = await world.connect(bob);
		chat_id = (await a.call('open_direct_chat', { user_id: bob.id })).id;
	});
	after(() => world.stop());

	test('a scheduled message is sent, and a short-lived one goes, though nothing but the gateway runs', async () => {
		const send_at = new Date(Date.now() + 500).toISOString();
		await a.call('schedule_message', { send_at, chat_id, body: 'later' });
		const { id } = await a.call('send_message', { chat_id, body: 'brief', expires_in: 'PT1S' });
		const later = await b.event(event => event.type === 'message' && event.message.body === 'later');
		assert.ok(later.at >= send_at);
		await b.event(event => event.type === 'message_deleted' && event.message_id === id);
	});

	test('what has much to do is done in transactions of a batch each, in turns with the others', async () => {
		const [owner, leaver, other] = await world.crowd(3);
		const stays = await world.connect(owner);
		const leaves = await world.connect(leaver);
		const room = (await stays.call('create_room', { title: 'Room' })).id;
		await leaves.call('join_room', { chat_id: room });
		await world.sql(`SELECT count(*) FROM generate_series(1, 300) n, LATERAL chat.send_message(${leaver.id}, ${room}, 'mine ' || n) s`);
		await world.sql(`CREATE OR REPLACE FUNCTION chat.expire_pushes(batch integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'no luck'; END $$`);
		await world.sql("SELECT value FROM chat.set_setting('maintenance_batch', '20')");
		await leaves.call('delete_account', {});
		await leaves.ending();
		await stays.event(event => event.type === 'member_left' && event.chat_id === room);
		await stays.event(event => event.type === 'message_deleted' && event.chat_id === room);
		const { prev_id } = await stays.call('send_message', { chat_id: room, body: 'between two batches' });
		const send_at = new Date().toISOString();
		await stays.call('schedule_message', { send_at, chat_id: (await stays.call('open_direct_chat', { user_id: other.id })).id, body: 'meanwhile' });
		await stays.event(event => event.type === 'message' && event.message.body === 'meanwhile');
		await until(async () => await world.sql('SELECT count(*) FROM chat.erasures') === '0');
		const order = await world.sql(`SELECT bool_or(e.id < ${prev_id}), bool_or(e.id > ${prev_id}), count(*), count(DISTINCT e.xmin::text) >= 15
			FROM chat.events e WHERE e.chat_id = ${room} AND e.type = 'message_deleted'`);
		assert.match(order, /^[tf]\|t\|300\|t$/);
		assert.equal(await world.sql("SELECT error FROM chat.maintenance WHERE job = 'expire_pushes'"), 'no luck');
		await stays.close();
	});

	test('the database tells when it last was', async () => {
		await until(async () => await age(world) >= 0);
		await sleep(1500);
		assert.ok(await age(world) < 60);
	});
});

describe('maintenance switched off', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { maintenance_interval: '0' } });
	});
	after(() => world.stop());

	test('is left to others', async () => {
		await sleep(2000);
		assert.equal(await age(world), -1);
	});

	test('an account ends at once, whoever removes what is left of it', async () => {
		const leaver = await world.user();
		const [reader] = await world.crowd(1);
		const one = await world.connect(leaver);
		const two = await world.connect(leaver);
		const other = await world.connect(reader);
		const group = (await other.call('create_group', { member_ids: [leaver.id] })).id;
		await one.call('send_message', { chat_id: group, body: 'what I have written' });
		await other.event(event => event.type === 'message' && event.message.body === 'what I have written');
		await one.call('delete_account', { password: leaver.password });
		assert.deepEqual(await within(Promise.all([one.closed, two.closed]), 'both closed'), [{ code: 4003, reason: 'session_ended' }, { code: 4003, reason: 'session_ended' }]);
		await assert.rejects(world.connect(leaver));
		const { rows: [message] } = await other.call('list_messages', { chat_id: group, page_size: 1 });
		assert.equal(message.body, '');
		assert.ok(message.deleted_at);
		assert.equal((await other.call('get_user', { user_id: leaver.id })).display_name, 'Deleted user');
		assert.equal((await other.call('list_chats', {})).rows.find(chat => chat.id === group).last_message.body, '');
		assert.deepEqual((await other.call('search_messages', { query: 'written' })).rows, []);
		assert.equal(await world.sql("SELECT count(*) FROM chat.messages WHERE body = 'what I have written'"), '1');
	});
});
