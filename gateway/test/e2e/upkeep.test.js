// SPDX-License-Identifier: PostgreSQL
// Maintenance without anybody's doing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep, until, World } from './harness.js';

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
});
